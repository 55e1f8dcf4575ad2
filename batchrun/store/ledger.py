"""The ids beside the checkpoint: what was paid for is known even if `run.db` is destroyed, or an older copy comes back.

`run.ledger` has a line for each event: the CRC-32 of what follows (8 hex digits), a blank, a JSON list that begins with
the event's number and kind.

    run     [n, "run", run id, job, target, key column, fingerprint of the request, its parts]
    intent  [n, "intent", attempt, row key, number, exchange, turn, sha of the request, model, agent, time,
             sha of the row's input]
    id      [n, "id", attempt, interaction id, time]
    free    [n, "free", attempt]                               a POST that was not sent or was refused

Lines are written after the commit of what they tell and before anybody acts on it. So an intact checkpoint is never
behind its ledger; one that is has lost what it knew.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

from batchrun.disk import sync_directory, write_at
from batchrun.errors import StoreError

#: A kind and what belongs to it; the number is given when it is written.
Event = tuple[Any, ...]

#: More than the longest line, but for row keys of many kilobytes: such a tail is damage, and the ledger is rewritten.
_TAIL = 1 << 16


class Ledger:
    """Appends events. `last` is the number of the last one; `torn` if its end has lines that cannot be read. Close it.

    A power cut may tear a group of lines that nobody has acted on yet, also in its middle.
    """

    def __init__(self, path: Path) -> None:
        """Raises StoreError where the file cannot be read."""
        self.path = path
        self._file = -1
        try:
            self.last, self._size, self.torn = _end(path)
        except FileNotFoundError:
            self.last, self._size, self.torn = 0, 0, False
        except OSError as error:
            raise self._unusable(error) from error

    @property
    def exists(self) -> bool:
        """True if it was ever told anything, readable or not."""
        return self.path.exists() and self.path.stat().st_size > 0

    @property
    def first(self) -> Event | None:
        """The event that it begins with; None if there is none that can be read."""
        try:
            return next(read(self.path), None)
        except OSError:
            return None

    def append(self, events: Iterable[Event]) -> None:
        """Make events durable. Raises OSError; what was written of them is taken back, or is a tail that none reads."""
        first = self.last + 1
        lines = b"".join(_line(n, event) for n, event in enumerate(events, first))
        try:
            write_at(self._opened(), lines, self._size)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        os.fdatasync(self._file)
        self._size += len(lines)
        self.last = first + lines.count(b"\n") - 1

    def rewrite(self, events: Iterable[Event], last: int) -> None:
        """Put events in the place of all, each with the number `last`. Raises StoreError."""
        self.close()
        draft = self.path.with_name(self.path.name + ".part")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.writelines(_line(last, event) for event in events)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
            sync_directory(self.path.parent)
            self.last, self._size, self.torn = _end(self.path)
        except OSError as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _opened(self) -> int:
        """The file, without a line that a dying process left unfinished."""
        if self._file < 0:
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(self._file, self._size)
            sync_directory(self.path.parent)
        return self._file

    def _unusable(self, error: OSError) -> StoreError:
        return StoreError(f"{self.path}: cannot use the ledger: {error.strerror}. Nothing was sent.")


def read(path: Path) -> Iterator[Event | None]:
    """The events of a ledger, each without its number; None for a line that is damaged. Raises OSError.

    A last line without its end is none: a dying process left it, and nobody has acted on it.
    """
    for entry in numbered(path):
        yield None if entry is None else tuple(entry[1:])


def numbered(path: Path) -> Iterator[list[Any] | None]:
    """As `read`, each event with its number before it."""
    with path.open("rb") as file:
        yield from (_entry(line[:-1]) for line in file if line.endswith(b"\n"))


class Faults:
    """Counts the lines of a ledger that are damaged, and the places at which lines are gone.

    Numbers go up by one from line to line, but for the lines of a ledger that was written anew, which share one. What
    is gone from its end leaves no trace.
    """

    def __init__(self) -> None:
        self.count, self._last = 0, -1.0

    def take(self, entry: list[Any] | None) -> None:
        """Take in the next line, as `numbered` gives it."""
        if entry is None:
            self.count, self._last = self.count + 1, math.inf
            return
        self.count += entry[1] != "run" if self._last < 0 else entry[0] > self._last + 1
        self._last = entry[0]


def faults(entries: Iterable[list[Any] | None]) -> int:
    """The faults of a ledger, whose lines are given as by `numbered`."""
    found = Faults()
    for entry in entries:
        found.take(entry)
    return found.count


def is_whole(path: Path) -> bool:
    """Whether there is a ledger, and it has no faults. Raises OSError."""
    return path.exists() and path.stat().st_size > 0 and not faults(numbered(path))


def _end(path: Path) -> tuple[int, int, bool]:
    """The number of the last line that can be read, where the last whole line ends, and if some cannot be read there.

    Raises OSError.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - _TAIL))
        tail = file.read()
    end = tail.rfind(b"\n") + 1
    lines = tail[:end].split(b"\n")[bool(start) : -1]
    entries = [_entry(line) for line in reversed(lines)]
    return next((entry[0] for entry in entries if entry is not None), 0), start + end, None in entries


def _line(number: int, event: Event) -> bytes:
    text = json.dumps([number, *event], separators=(",", ":")).encode()
    return b"%08x %b\n" % (crc32(text), text)


def _entry(line: bytes) -> list[Any] | None:
    try:
        if int(line[:8], 16) != crc32(line[9:]):
            return None
        entry = json.loads(line[9:].decode())
    except ValueError:
        return None
    return entry if isinstance(entry, list) and len(entry) > 1 and isinstance(entry[0], int) else None
