"""Room on the disk that is kept for the worst moment: when the disk is full, ids of open POSTs must still be stored."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from batchrun.errors import StoreError

#: Many times what the ids of all open POSTs take, and little beside a disk.
_SIZE = 4 << 20


class Ballast:
    """A file of no use but its size, for the time of a run. A killed process leaves it, and the next run takes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._taken = False

    def take(self) -> None:
        """Raises StoreError where there is no room for it."""
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                _fill(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            self._remove()
            said = f"{self._path.parent}: the run needs {_SIZE >> 20} MB of room in reserve: {error.strerror}"
            raise StoreError(f"{said}. Nothing was sent; make room and run the same command again.") from error
        self._taken = True

    def drop(self) -> bool:
        """Make its room free; False if that is done already."""
        taken, self._taken = self._taken, False
        self._remove()
        return taken

    def _remove(self) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def _fill(descriptor: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, _SIZE)
    else:
        os.pwrite(descriptor, bytes(_SIZE), 0)
