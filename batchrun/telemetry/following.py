"""Reading a log that is being written: its last lines, and those that come, over rotations."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from batchrun.telemetry.log_file import KEPT

#: A longer line is read in pieces: no log of ours has one.
_LONGEST = 1 << 20
_BLOCK = 1 << 16


class Follower:
    """The lines of the log at `path`, which need not exist yet. Methods raise OSError. Close it."""

    def __init__(self, path: Path) -> None:
        self._path, self._file, self._rest = path, _opened(path), b""

    @property
    def exists(self) -> bool:
        """Whether there is a log so far."""
        return self._file is not None

    def last(self, count: int) -> list[bytes]:
        """The last whole lines there are, from older files too where that is needed. `new` goes on after them."""
        if self._file is None:
            return []
        found = _last(self._file, count)
        for path in _older(self._path):
            if len(found) < count and (older := _opened(path)) is not None:
                with older:
                    found = _last(older, count - len(found)) + found
        return found

    def new(self) -> Iterator[bytes]:
        """The whole lines that have come since."""
        yield from self._lines()
        for number, later in enumerate(self._later()):
            if number == 0:
                yield from self._lines()  # what came between the last look and the rotation
            self.close()
            self._file, self._rest = later, b""
            yield from self._lines()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _lines(self) -> Iterator[bytes]:
        if self._file is None:
            return
        if os.fstat(self._file.fileno()).st_size < self._file.tell():  # another program has emptied it
            self._file.seek(0)
            self._rest = b""
        while piece := self._file.readline(_LONGEST):
            self._rest += piece
            if piece.endswith(b"\n") or len(self._rest) >= _LONGEST:
                yield self._rest.removesuffix(b"\n") + b"\n"
                self._rest = b""

    def _later(self) -> list[BufferedReader]:
        """The files that were begun after the one that is read, the oldest first."""
        ours = None if self._file is None else _name(self._file)
        files = [file for path in (self._path, *_older(self._path)) if (file := _opened(path)) is not None]
        names = [_name(file) for file in files]
        if ours is None:  # there was none yet
            return files[::-1]
        newer = names.index(ours) if ours in names else min(1, len(files))  # another program has taken ours away
        for file in files[newer:]:
            file.close()
        return files[:newer][::-1]


def _last(file: BufferedReader, count: int) -> list[bytes]:
    """The last whole lines of one file, read from its end; it stands after them then."""
    end = start = file.seek(0, os.SEEK_END)
    tail = b""
    while start and tail.count(b"\n") <= count and len(tail) < count * _LONGEST:
        start = max(0, start - _BLOCK)
        file.seek(start)
        tail = file.read(end - start - len(tail)) + tail
    whole = tail.rfind(b"\n") + 1
    file.seek(end - len(tail) + whole)
    return tail[:whole].splitlines(keepends=True)[-count:] if count else []


def _older(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}.{number}") for number in range(1, KEPT + 1)]


def _opened(path: Path) -> BufferedReader | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe is not waited for
    except FileNotFoundError:
        return None
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return os.fdopen(descriptor, "rb")


def _name(file: BufferedReader) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino
