"""Fetching the files that agents left in their environments, before those go away after seven idle days."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import partial
from hashlib import file_digest
from pathlib import Path
from typing import Any

from batchrun.aftercare.calls import PAUSES, Calls, for_each, told
from batchrun.aftercare.listing import Listed, Page
from batchrun.aftercare.paths import directory_name, why_unsafe
from batchrun.clock import wall_clock
from batchrun.disk import sync_directory
from batchrun.errors import Exit, SpecError, StoreError
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Call, Reply, is_passing
from batchrun.interactions.models import ApiError, usable_id
from batchrun.interactions.saving import MOST_BYTES, Saved, TooLong
from batchrun.outputs.files import draft_of, sweep
from batchrun.outputs.history import History
from batchrun.runs.directory import RunDir
from batchrun.runs.options import Options, client_for
from batchrun.runs.run import run_fast
from batchrun.runs.signals import stoppable
from batchrun.spec.load import Job
from batchrun.store.reader import Reader
from batchrun.store.records import RowRecord

#: So many rows are at work at once.
_AT_ONCE = 4
#: What one file, and what one environment may bring.
_MOST_BYTES = MOST_BYTES
_MOST_FILES = 10_000
_MOST_TOTAL = 4 * 1024**3


@dataclass(frozen=True, slots=True)
class Place:
    """A row's environment, and the directory for its files."""

    key: str
    environment_id: str
    directory: Path


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of a row's environment: files written, those that were here already, and what went wrong, in words."""

    key: str
    environment_id: str
    directory: Path
    written: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "directory": str(self.directory)}


@dataclass(frozen=True)
class Downloaded:
    """What came of a download, for each row that has an environment."""

    rows: tuple[Fetched, ...]

    @property
    def exit_code(self) -> Exit:
        return Exit.SOME_ROWS_FAILED if any(row.problems for row in self.rows) else Exit.OK


def download(
    job: Job,
    directory: RunDir,
    options: Options,
    keys: Sequence[str] = (),
    patterns: Sequence[str] = (),
    to: Path | None = None,
    *,
    wall: Callable[[], float] = wall_clock,
    run_async: Callable[[Coroutine[Any, Any, list[Fetched]]], list[Fetched]] = run_fast,
) -> Downloaded:
    """Fetch the files of finished rows' environments (of those with these keys, or of all) that match a pattern.

    They go to `to`, by default `environments` in the run directory, into a directory for each row. Raises SpecError for
    an unknown key, StoreError where the disk refuses, RunError if the service cannot be asked.
    """
    places = _places(directory, keys, to or directory.path / "environments")
    if not places:
        return Downloaded(())
    client = client_for(options)
    return Downloaded(tuple(run_async(stoppable(_fetch_all(job, client, places, patterns, wall)))))


def _places(directory: RunDir, keys: Sequence[str], root: Path) -> list[Place]:
    with Reader(directory.checkpoint) as reader:
        named = ((row, History.of(row).environment_id) for row in _rows(reader, keys) if row.outcome is not None)
        return [Place(row.key, name, root / directory_name(row.key)) for row, name in named if name is not None]


def _rows(reader: Reader, keys: Sequence[str]) -> Iterable[RowRecord]:
    if not keys:
        return reader.rows()
    rows = {key: reader.row(key) for key in keys}
    for key, row in rows.items():
        if row is None:
            raise SpecError(f"no row has the key {key!r}; nothing was fetched.")
    return [row for row in rows.values() if row is not None]


async def _fetch_all(
    job: Job, client: Client, places: Sequence[Place], patterns: Sequence[str], wall: Callable[[], float]
) -> list[Fetched]:
    calls, found = Calls(job.spec, wall), dict[str, Fetched]()

    async def fetch(place: Place) -> None:
        found[place.key] = await Download(calls, client, place).run(patterns)

    try:
        await for_each(places, fetch, _AT_ONCE)
    finally:
        await client.aclose()
    return [found[place.key] for place in places]


class Download:
    """Fetches the files of one environment, one after the other."""

    def __init__(self, calls: Calls, client: Client, place: Place) -> None:
        self._calls, self._client, self._place = calls, client, place
        self._written: list[str] = []
        self._same: list[str] = []
        self._problems: list[str] = []
        self._budget = _MOST_TOTAL

    async def run(self, patterns: Sequence[str]) -> Fetched:
        """What came of it. Raises StoreError, RunError."""
        place = self._place
        if usable_id(place.environment_id) is None:
            self._problems.append("the environment has an id that cannot be part of an address")
        else:
            async for entry in self._listed():
                if _matches(entry.path, patterns):
                    await self._take(entry)
        outcome = tuple(self._written), tuple(self._same), tuple(self._problems)
        return Fetched(place.key, place.environment_id, place.directory, *outcome)

    async def _listed(self) -> AsyncIterator[Listed]:
        """Every file in the environment, once."""
        tokens, paths = {""}, set[str]()
        token = ""
        while (page := await self._page(token)) is not None:
            for entry in page.entries:
                if entry.kind in ("directory", "folder") or entry.path in paths:
                    continue
                if len(paths) == _MOST_FILES:
                    self._problems.append(f"the environment has more than {_MOST_FILES:,} files; the rest is left out")
                    return
                paths.add(entry.path)
                yield entry
            token = page.following
            if token in tokens:
                return
            tokens.add(token)

    async def _page(self, token: str) -> Page | None:
        call = await self._call(partial(self._client.environment_files, self._place.environment_id, token))
        page = Page.parse(call.body) if isinstance(call, Reply) and call.ok else None
        if page is None:
            self._problems.append(_why_no_list(call))
        return page

    async def _take(self, entry: Listed) -> None:
        """One file: written, known already, or a problem."""
        problem = why_unsafe(entry.path) or self._why_not(entry)
        if problem is None and _is_current(self._place.directory / entry.path, entry):
            self._same.append(entry.path)
        elif problem is None:
            problem = await self._fetch(entry)
        if problem is not None:
            self._problems.append(f"{entry.path}: {problem}")

    def _why_not(self, entry: Listed) -> str | None:
        if entry.kind != "file":
            return f"it is no file but a {entry.kind}"
        if self._budget < 0 or (entry.size or 0) > self._budget:
            return f"the files of one row may have {_MOST_TOTAL:,} bytes"
        if (entry.size or 0) > _MOST_BYTES:
            return f"it has {entry.size:,} bytes; one file may have {_MOST_BYTES:,}"
        return None

    async def _fetch(self, entry: Listed) -> str | None:
        path, most = self._place.directory / entry.path, min(_MOST_BYTES, self._budget)
        try:
            with _drafted(self._place.directory, path) as draft:
                ask = partial(self._client.environment_file, self._place.environment_id, entry.path, draft, most)
                call = await self._call(ask)
                self._budget -= call.size if isinstance(call, Saved) else most + 1 if isinstance(call, TooLong) else 0
                if not isinstance(call, Saved):
                    return f"it cannot be fetched: {told(call)}"
                new = await asyncio.to_thread(_put, draft, path, entry, call.sha256)
        except _NotWritable as error:
            return str(error)
        (self._written if new else self._same).append(entry.path)
        return None

    async def _call(self, call: Callable[[], Coroutine[Any, Any, Call]]) -> Call:
        """A call, made again while that may help."""
        answer = await self._calls.make(call)
        for pause in PAUSES[1:]:
            if not is_passing(answer):
                break
            await asyncio.sleep(pause)
            answer = await self._calls.make(call)
        return answer


class _NotWritable(Exception):
    """One file cannot be where it should be; others can."""


def _matches(path: str, patterns: Sequence[str]) -> bool:
    """True if a pattern fits the path or its last part; `*` fits across directories."""
    name = path.rpartition("/")[2]
    return not patterns or any(fnmatchcase(path, pattern) or fnmatchcase(name, pattern) for pattern in patterns)


def _why_no_list(call: Call) -> str:
    if isinstance(call, Reply) and call.status == 404 and ApiError.parse(call.body) is not None:
        return "the environment is gone: the service keeps it for seven days after its last use"
    return f"the files cannot be listed: {told(call)}"


def _is_current(path: Path, entry: Listed) -> bool:
    """True if the file is here as it was fetched before: its size and time are those of the list."""
    if entry.modified is None or path.is_symlink():
        return False
    with suppress(OSError):
        known = path.stat()
        return known.st_size == entry.size and abs(known.st_mtime - entry.modified) < 0.001
    return False


@contextmanager
def _drafted(root: Path, path: Path) -> Iterator[Path]:
    """A draft for a file below `root`, gone after the block if it was not renamed. Raises _NotWritable, StoreError."""
    try:
        _make_directories(root, path)
        sweep(path.parent, path.name)
        with draft_of(path) as (draft, _):
            yield draft
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise _NotWritable("a file is where its directory, or a directory where the file should be") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(f"cannot write {str(path)!r}: {reason}. Put that right, and download again.") from error


def _put(draft: Path, path: Path, entry: Listed, digest: str) -> bool:
    """Give the draft its name; False if the file was the same already. Raises OSError."""
    same = not path.is_symlink() and path.is_file() and _digest_of(path) == digest
    if not same:
        draft.replace(path)
        sync_directory(path.parent)
    if entry.modified is not None:
        os.utime(path, (entry.modified, entry.modified))
    return not same


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _make_directories(root: Path, path: Path) -> None:
    """The directories of `path`, none of which may lead out of `root`."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for parent in reversed(path.parents[: len(path.relative_to(root).parts) - 1]):
        if parent.is_symlink():
            raise _NotWritable(f"{str(parent)!r} is a symbolic link")
        parent.mkdir(mode=0o700, exist_ok=True)
