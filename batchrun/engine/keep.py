"""Makes an answer durable: its raw bytes, media and usage before anybody judges it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from batchrun.engine.attempt import Attempt
from batchrun.engine.budget import Budget
from batchrun.engine.events import Landed
from batchrun.engine.means import Means
from batchrun.errors import RowError, StoreError
from batchrun.interactions.evidence import Answer, Call, NotSent, Reply, is_passing
from batchrun.interactions.models import Interaction
from batchrun.interactions.usage import Usage, plausible_tokens
from batchrun.outputs.media import addresses, complete, detach, may_hold_media, tells_of_media
from batchrun.rows import Finish
from batchrun.store.records import AttemptState, RowRecord

#: Seconds between the tries to fetch a file of an answer's.
_PAUSES = (2.0, 10.0, 30.0)


class Keeper:
    """Keeps answers; `media` is the directory for what is not text. `budget_of` tells what bounds a row's cost."""

    def __init__(
        self, means: Means, media: Path, budget_of: Callable[[RowRecord], Budget | None] = lambda _: None
    ) -> None:
        self._store, self._client, self._wall, self._observe = means.store, means.client, means.wall, means.observe
        self._media, self._budget_of = media, budget_of

    async def keep(self, row: RowRecord, attempt: Attempt, found: Answer, end: Finish | None = None) -> Interaction:
        """Commit the answer, and return it as it is kept. `end` ends the row whatever the answer says."""
        raw, trouble = await self._without_media(row, found.raw)
        answer = found.interaction if raw is found.raw else Interaction.parse(raw) or found.interaction
        budget = self._budget_of(row)
        charge = None if budget is None else await budget.settle(row.id, answer)
        await self._store.fetched(
            attempt.id,
            raw,
            self._wall(),
            status=answer.status,
            model=answer.model,
            tier=answer.service_tier,
            usage=answer.usage,
            polls=attempt.polls,
            interaction_id=(answer.id or "") if attempt.state is AttemptState.FETCHED else None,
            row_end=None if end is None else (row.id, end),
            charge=charge,
        )
        self._account(row, attempt, answer.usage or {})
        if trouble is not None:
            raise trouble
        return answer

    async def _without_media(self, row: RowRecord, raw: bytes) -> tuple[bytes, StoreError | None]:
        """The answer with its media in files; as it came, and why, where they cannot be written: it is paid for."""
        if not may_hold_media(raw):
            return raw, None
        try:
            return await asyncio.to_thread(detach, raw, self._media, row.key), None
        except StoreError as error:
            return raw, error

    async def complete_media(self, row: RowRecord, attempt_id: int, answer: Interaction) -> Interaction:
        """The answer with all its media in files, also those that it only names.

        Raises RowError where one cannot be fetched. That costs nothing: a retry makes the row right without a new
        interaction.
        """
        if not tells_of_media(answer):
            return answer
        named = addresses(answer)
        with _directory(self._media.parent / f".fetching-{attempt_id}") as here:
            fetched = {uri: here / str(n) for n, uri in enumerate(named)}
            got = {uri: path for uri, path in fetched.items() if await self._download(uri, path)}
            whole = await asyncio.to_thread(complete, answer, self._media, row.key, got)
        if whole is None:
            return answer
        await self._store.completed(attempt_id, whole)
        return Interaction.parse(whole) or answer

    async def _download(self, uri: str, path: Path) -> bool:
        """False for an address that is not the service's, which is the user's to follow."""
        for pause in (*_PAUSES, None):
            call = await self._client.download(uri, path)
            if isinstance(call, NotSent) and not self._client.serves(uri):
                return False
            if isinstance(call, Reply) and call.ok:
                return True
            if pause is None or not _may_come(call):
                break
            await asyncio.sleep(pause)
        reason = f"HTTP {call.status}" if isinstance(call, Reply) else call.reason
        said = f"the answer names {uri[:150]!r}, which cannot be fetched: {reason}"
        raise RowError("media_not_fetched", f"{said}. `batchrun retry` tries again, for free")

    def _account(self, row: RowRecord, attempt: Attempt, usage: Usage) -> None:
        spent = plausible_tokens(usage, "total_input_tokens")
        if attempt.lease is not None and spent is not None:
            attempt.lease.settle(spent)
        tokens, seconds = plausible_tokens(usage, "total_tokens"), self._wall() - attempt.submitted_at
        name = attempt.interaction_id
        self._observe(Landed(row.key, tokens, row.stage, name, seconds, attempt.polls, usage))


def _may_come(call: Call) -> bool:
    """Whether a file may be fetched a little later. One just made may not be known everywhere yet."""
    return is_passing(call) or (isinstance(call, Reply) and call.status == 404)


@contextmanager
def _directory(path: Path) -> Iterator[Path]:
    """A directory for the time of the block; one that a killed process left is taken over. Raises StoreError."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make {str(path)!r}: {error.strerror}. Run the same command again.") from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
