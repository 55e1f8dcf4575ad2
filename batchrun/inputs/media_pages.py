"""How many pages a PDF has, and which of them go into which block.

Pages are counted by PDFium, which is C++ and reads what strangers wrote: it works in a child without the key, with
bounded memory and time (`pdf_child.py`). One child serves a whole run, so a file costs less than a millisecond.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from threading import Lock

from batchrun.errors import RowError
from batchrun.inputs.media_files import LocalFile
from batchrun.spec.pages import Range, parse_pages

MOST_PAGES = 1000
"""Pages that the API takes of one document block."""

_CHILD = Path(__file__).with_name("pdf_child.py")
_SECONDS = 20.0


class PageCounter:
    """Counts pages in a child process that starts when the first PDF comes. Close it with `close`."""

    def __init__(self) -> None:
        self._one_at_a_time = Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self.count = lru_cache(maxsize=4096)(self._count)
        """The pages of a PDF, None if nobody can tell. Raises RowError if the file is gone or has changed."""

    def _count(self, file: LocalFile) -> int | None:
        with file.open() as descriptor, self._one_at_a_time:
            try:
                return self._ask(descriptor)
            except (OSError, struct.error):  # it died of the file, or takes too long
                self.close()
                return None

    def _ask(self, descriptor: int) -> int | None:
        child = self._socket or self._start()
        socket.send_fds(child, [b"."], [descriptor])
        (pages,) = struct.unpack("!i", child.recv(4, socket.MSG_WAITALL))
        return None if pages < 0 else int(pages)

    def _start(self) -> socket.socket:
        ours, its = socket.socketpair()
        ours.settimeout(_SECONDS)
        command = [sys.executable, "-I", str(_CHILD)]
        quiet = subprocess.DEVNULL
        with its:
            self._child = subprocess.Popen(
                command, stdin=its.fileno(), stdout=quiet, stderr=quiet, env={}, start_new_session=True
            )
        self._socket = ours
        return ours

    def close(self) -> None:
        """End the child, if there is one."""
        if self._socket is not None:
            self._socket.close()
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        self._child = self._socket = None


def page_ranges(asked: str, pages: int | None, shown: str) -> list[Range]:
    """The ranges of pages to send, each in a block of its own; none for the whole document in one block.

    `pages` is how many the document has, None if that is not known. Raises RowError (`bad_pages`).
    """
    ranges = parse_pages(asked)
    if pages is not None and (beyond := next((last for _, last in ranges if last > pages), None)) is not None:
        raise RowError("bad_pages", f"{shown!r} ends at page {pages:,}; there is no page {beyond:,} ({asked!r})")
    if not ranges and pages is not None and pages > MOST_PAGES:
        ranges = [(1, pages)]
    return [part for first, last in ranges for part in _split(first, last)]


def _split(first: int, last: int) -> Iterator[Range]:
    for start in range(first, last + 1, MOST_PAGES):
        yield start, min(last, start + MOST_PAGES - 1)
