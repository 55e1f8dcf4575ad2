"""The file of a log: appended to by one process after another, rotated by size, by us or by another program."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from io import TextIOWrapper
from logging import LogRecord, makeLogRecord
from logging.handlers import RotatingFileHandler, WatchedFileHandler
from pathlib import Path

#: Files kept beside the current one: `run.log.1` is the newest of them.
KEPT = 4
_HOW = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class LogFile(RotatingFileHandler, WatchedFileHandler):
    """Appends text to `path` (mode 0600), which begins anew when it has `size` bytes; 0 for never.

    It goes on in a new file where another program has moved the old one away. It follows no symbolic link.
    """

    terminator = ""

    def __init__(self, path: Path, size: int) -> None:
        self.dev = self.ino = -1
        super().__init__(path, maxBytes=size, backupCount=KEPT, encoding="utf-8", delay=True)

    def write(self, text: str) -> None:
        """Append whole lines. Raises OSError; then a part of them may be there."""
        self.reopenIfNeeded()
        self.handle(makeLogRecord({"msg": text}))

    def handleError(self, record: LogRecord) -> None:
        """Forget what could not be written, and let the caller know."""
        failed, self.stream = self.stream, None
        with suppress(OSError):
            if failed is not None:
                failed.close()
        raise  # what the caller of this method is handling

    def _open(self) -> TextIOWrapper:
        try:
            descriptor = os.open(self.baseFilename, _HOW, 0o600)
        except OSError as error:
            said = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
            raise OSError(error.errno, said, self.baseFilename) from None
        try:
            self._begin(descriptor)
            return os.fdopen(descriptor, "a", encoding="utf-8")
        except BaseException:
            os.close(descriptor)
            raise

    def _begin(self, descriptor: int) -> None:
        """On a line of its own: a process may have died in the midst of one."""
        status = os.fstat(descriptor)
        self.dev, self.ino = status.st_dev, status.st_ino
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISCHR(status.st_mode)):
            raise OSError(errno.EINVAL, "it is no file", self.baseFilename)
        if status.st_uid not in (os.geteuid(), 0):
            raise PermissionError(errno.EPERM, f"it belongs to another user (uid {status.st_uid})", self.baseFilename)
        if stat.S_ISREG(status.st_mode) and status.st_size and os.pread(descriptor, 1, status.st_size - 1) != b"\n":
            os.write(descriptor, b"\n")
