"""Forgetting a run at the service: its stored interactions are deleted there once everything they said is here.

The results, the checkpoint and the media stay on this machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import asdict, dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Any

from batchrun.aftercare.calls import PAUSES, Calls, for_each, told
from batchrun.aftercare.uploads import clean_run, count_sent_by
from batchrun.clock import wall_clock
from batchrun.errors import CredentialError, Exit, LockedError, SpecError
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Call, Reply, is_passing
from batchrun.interactions.models import ApiError
from batchrun.plurals import counted
from batchrun.rows import Finish, Outcome
from batchrun.runs.directory import RunDir
from batchrun.runs.exports import current_outputs
from batchrun.runs.opening import OpenRun, open_existing, uploads_of
from batchrun.runs.options import Options, client_for
from batchrun.runs.run import run_fast
from batchrun.runs.signals import stoppable, stopping_at_once
from batchrun.spec.load import Job
from batchrun.store.lock import running
from batchrun.store.reader import Reader
from batchrun.store.records import AttemptRecord

_PLAN_PURGED = Finish(
    Outcome.FAILED,
    "purged",
    "the research plan was deleted at the service before it was approved; `batchrun retry` asks for another",
)
#: So many interactions, and no other, must be unknown before it is the key that is doubted.
_ALL_UNKNOWN = 5


@dataclass(frozen=True, slots=True)
class Kept:
    """An interaction that could not be deleted, and why."""

    key: str
    interaction_id: str
    why: str


@dataclass
class Purged:
    """What came of a purge. Counts are interactions: `gone` were not there any more, `running` are left alone.

    `nameless` are POSTs of unknown fate: what they stored, if anything, has no id that we know. `files` counts the
    uploaded files that were deleted, `others` says which could not be.
    """

    deleted: int = 0
    gone: int = 0
    running: int = 0
    nameless: int = 0
    files: int = 0
    kept: list[Kept] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> Exit:
        return Exit.SOME_ROWS_FAILED if self.kept or self.running or self.others else Exit.OK

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def count_due(directory: RunDir, *, force: bool, keep_files: bool) -> tuple[int, int]:
    """How many interactions and uploaded files a purge would delete.

    Raises SpecError if rows are still open, unless `force`; LockedError while the run goes on; StoreError.
    """
    if holder := running(directory.path):
        said = f"{directory.path}: this run is already going on ({holder}); nothing was deleted."
        raise LockedError(f"{said} Stop it first, then use this command again.")
    with Reader(directory.checkpoint) as reader:
        if not force:
            _refuse_open_rows(reader, directory)
        files = 0 if keep_files else count_sent_by(reader, uploads_of(reader, directory))
        return reader.count_kept(), files


def purge(
    job: Job,
    directory: RunDir,
    options: Options,
    *,
    force: bool = False,
    wall: Callable[[], float] = wall_clock,
    files: bool = False,
    run_async: Callable[[Coroutine[Any, Any, Purged]], Purged] = run_fast,
) -> Purged:
    """Delete every stored interaction of the run at the service, and the `files` uploaded for it.

    What the service has no more counts as deleted.

    Raises SpecError if rows are still open, unless `force`; LockedError while the run goes on; RunError if the
    service cannot be asked or seems to be another project's. Interactions under way are never deleted.
    """
    with stopping_at_once(), open_existing(job, directory) as opened:
        if not force:
            _refuse_open_rows(opened.reader, directory)
        current_outputs(opened)
        client = client_for(options)
        opened.store.begin_epoch()
        done = run_async(stoppable(_purge(opened, client, wall, force, files)))
        with stopping_at_once():  # the loop has reset the handlers
            current_outputs(opened)
        return done


def _refuse_open_rows(reader: Reader, directory: RunDir) -> None:
    if count := reader.count_open():
        are = "is begun, or waits" if count == 1 else "are begun, or wait"
        raise SpecError(
            f"{directory.path}: {counted(count, 'row')} {are} for approval, and may go on from what the service "
            "keeps; nothing was deleted. Run the job to its end, or `batchrun cancel` it; `--force` deletes all the "
            "same, and conversations that go on later begin anew, billed again."
        )


async def _purge(opened: OpenRun, client: Client, wall: Callable[[], float], force: bool, files: bool) -> Purged:
    # Of what it was not to keep the service should have nothing.
    trusting = force or not any(each.spec.request.store for each in opened.job.asking)
    try:
        done = await Purge(opened, client, wall).run(trusting=trusting)
        if files:
            cleaned = await clean_run(opened.reader, opened.uploads, client, wall)
            done.files, done.others = cleaned.deleted, cleaned.kept
        return done
    finally:
        await opened.store.drain()
        await client.aclose()


class _Answer(Enum):
    """What the answer to a DELETE says."""

    DELETED = auto()
    GONE = auto()
    AGAIN = auto()
    REFUSED = auto()


class Purge:
    """Deletes interactions in a few rounds: what fails for a passing reason is tried again in the next."""

    def __init__(self, opened: OpenRun, client: Client, wall: Callable[[], float]) -> None:
        self._store, self._reader, self._client, self._wall = opened.store, opened.reader, client, wall
        self._at_once = opened.job.spec.limits.posts
        self._calls = Calls(opened.job.spec, wall)
        self._done = Purged(running=sum(1 for _ in opened.reader.in_flight()), nameless=opened.reader.count_nameless())
        self._again: list[tuple[AttemptRecord, str]] = []
        self._unknown: list[int] = []

    async def run(self, *, trusting: bool) -> Purged:
        """What was deleted is on record one by one. `trusting` takes the service's word where it knows none at all."""
        left: Iterable[AttemptRecord] = self._reader.kept()
        for pause in PAUSES:
            await asyncio.sleep(pause)
            self._again = []
            await for_each(left, self._delete, self._at_once)
            if not self._again:
                break
            left = [attempt for attempt, _ in self._again]
        self._done.kept += [_kept(attempt, why) for attempt, why in self._again]
        await self._record_unknown(trusting)
        return self._done

    async def _delete(self, attempt: AttemptRecord) -> None:
        assert attempt.interaction_id is not None
        call = await self._calls.make(partial(self._client.delete, attempt.interaction_id))
        match _answer(call):
            case _Answer.DELETED:
                await self._store.purged([attempt.id], _PLAN_PURGED, self._wall())
                self._done.deleted += 1
            case _Answer.GONE:
                self._unknown.append(attempt.id)
            case _Answer.AGAIN:
                self._again.append((attempt, told(call)))
            case _Answer.REFUSED:
                self._done.kept.append(_kept(attempt, told(call)))

    async def _record_unknown(self, trusting: bool) -> None:
        """Unknown to the service is gone, unless it never knew any: then this may be the key of another project."""
        count = len(self._unknown)
        if not (trusting or self._done.deleted or self._reader.count_purged()) and count >= _ALL_UNKNOWN:
            raise CredentialError(
                f"The service knows none of the run's {count:,} interactions: is this the API key of another project? "
                "Nothing was recorded as deleted. If their time has run out at the service, `--force` takes its word."
            )
        if count:
            await self._store.purged(self._unknown, _PLAN_PURGED, self._wall())
        self._done.gone = count


def _answer(call: Call) -> _Answer:
    if is_passing(call):
        return _Answer.AGAIN
    if not isinstance(call, Reply):
        return _Answer.REFUSED
    if call.ok:
        return _Answer.DELETED
    error = ApiError.parse(call.body)
    # A wrong path, too, is answered with 404, and says nothing about the interaction.
    known_path = error is not None and "method not found" not in error.message.lower()
    return _Answer.GONE if call.status == 404 and known_path else _Answer.REFUSED


def _kept(attempt: AttemptRecord, why: str) -> Kept:
    return Kept(attempt.key, attempt.interaction_id or "", why)
