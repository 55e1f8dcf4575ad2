"""What a job's Python prints, and what that starts, while a live view is on the terminal: lines to stand above it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from select import select

from batchrun.cli.output import errors

_THEIRS = (1, 2)
_LONGEST = 10_000
_CHUNK = 1 << 16


class Prints:
    """The reading end of a pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self._lines: list[str] = []
        os.set_blocking(descriptor, False)

    def wait(self, seconds: float) -> None:
        """Take in what comes, for so long at most."""
        if select([self._descriptor], [], [], seconds)[0]:
            self._read()

    def lines(self) -> list[str]:
        """The lines that have come since the last time."""
        self._read()
        lines, self._lines = self._lines, []
        return lines

    def end(self) -> list[str]:
        """The last lines, the one that was not ended too."""
        lines = self.lines()
        os.close(self._descriptor)
        return [*lines, _text(self._rest)] if self._rest else lines

    def _read(self) -> None:
        try:
            came = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return
        *whole, self._rest = (self._rest + came).split(b"\n")
        self._lines += map(_text, whole)
        if len(self._rest) > _LONGEST:
            self._lines.append(_text(self._rest))
            self._rest = b""


@contextmanager
def prints_captured() -> Iterator[Prints | None]:
    """Inside, descriptors 1 and 2 are a pipe; None, and nothing changes, where our own messages go there too."""
    stream = errors()
    if stream is None or stream.fileno() in _THEIRS:
        yield None
        return
    before = [os.dup(descriptor) for descriptor in _THEIRS]
    reading, writing = os.pipe()
    for descriptor in _THEIRS:
        os.dup2(writing, descriptor)
    pipe = os.fstat(writing)
    os.close(writing)
    try:
        yield Prints(reading)
    finally:
        for descriptor, kept in zip(_THEIRS, before, strict=True):
            if _is(descriptor, pipe):
                os.dup2(kept, descriptor)
            os.close(kept)


def _is(descriptor: int, pipe: os.stat_result) -> bool:
    """False where somebody has closed it, and it may be another file by now."""
    try:
        return os.path.samestat(os.fstat(descriptor), pipe)
    except OSError:
        return False


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r").expandtabs()
