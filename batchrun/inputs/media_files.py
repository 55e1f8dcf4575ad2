"""One file, the same one from the first look to the last byte: opened without waiting, read in pieces, never whole.

A file that is not what it was when it was first looked at is an error, whoever notices: the hash, the upload, the body.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

from batchrun.errors import RowError
from batchrun.inputs.media_paths import Place, require_regular

#: Bytes read at a time: a multiple of 3, so that pieces of base64 can be put side by side.
_PIECE = 3 * 64 * 1024


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file as it was when it was first looked at. `size` in bytes; `identity` says which file on which device."""

    place: Place
    size: int
    changed_ns: int
    identity: tuple[int, int]

    @property
    def shown(self) -> str:
        return self.place.shown

    @contextmanager
    def open(self) -> Iterator[int]:
        """A descriptor of this very file. Raises RowError (`media_missing`, `media_unreadable`, `media_changed`)."""
        with _opened(self.place) as descriptor:
            self.require_unchanged(descriptor)
            yield descriptor

    def require_unchanged(self, descriptor: int) -> None:
        """Raises RowError (`media_changed`) if the file was written to since it was first looked at."""
        if _looked_at(self.place, descriptor) != self:
            raise changed(self.shown)

    def pieces(self) -> Iterator[bytes]:
        """The content, in pieces whose length is a multiple of 3, but for the last. Raises RowError."""
        with self.open() as descriptor:
            yield from self._pieces(descriptor)
            self.require_unchanged(descriptor)

    def _pieces(self, descriptor: int) -> Iterator[bytes]:
        read = 0
        while read < self.size:
            piece = self._at(descriptor, read, min(_PIECE, self.size - read))
            read += len(piece)
            yield piece

    def _at(self, descriptor: int, offset: int, size: int) -> bytes:
        content = pread(descriptor, offset, size, self.shown)
        if len(content) != size:
            raise changed(self.shown)
        return content

    def read(self) -> bytes:
        """The whole content, for files that are known to be small. Raises RowError."""
        return b"".join(self.pieces())


def look(place: Place) -> tuple[LocalFile, bytes]:
    """The file as it is now, and its first 4096 bytes. Raises RowError."""
    with _opened(place) as descriptor:
        found = _looked_at(place, descriptor)
        if found.size == 0:
            raise RowError("media_empty", f"{place.shown!r} has no content")
        return found, pread(descriptor, 0, 4096, place.shown)


def sha256_of_file(file: LocalFile) -> str:
    """Hex SHA-256 of the content, remembered as long as the file stays as it is. Raises RowError."""
    with _one_at_a_time:  # rows that share a file wait for its one hash
        return _sha256_of(file)


_one_at_a_time = Lock()


@lru_cache(maxsize=4096)
def _sha256_of(file: LocalFile) -> str:
    hashed = hashlib.sha256()
    for piece in file.pieces():
        hashed.update(piece)
    return hashed.hexdigest()


def pread(descriptor: int, offset: int, size: int, shown: str) -> bytes:
    """Up to `size` bytes from `offset` on, fewer only at the end. Raises RowError (`media_unreadable`)."""
    try:
        content = os.pread(descriptor, size, offset)
        while 0 < len(content) < size and (more := os.pread(descriptor, size - len(content), offset + len(content))):
            content += more
    except OSError as error:
        raise _unreadable(shown, error) from None
    return content


def changed(shown: str) -> RowError:
    return RowError("media_changed", f"{shown!r} changed while it was read; run again when it is complete")


@contextmanager
def _opened(place: Place) -> Iterator[int]:
    try:
        require_regular(os.lstat(place.real).st_mode, place.shown)
        descriptor = _descriptor(place.real)
    except (FileNotFoundError, NotADirectoryError):
        raise RowError("media_missing", f"{place.shown!r} does not exist") from None
    except (OSError, ValueError) as error:
        raise _unreadable(place.shown, error) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _descriptor(real: str) -> int:
    """Of the file at this very path: where a directory has become a link since it was proved, nothing is opened."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
    if sys.platform == "darwin":
        return os.open(real, flags | os.O_NOFOLLOW_ANY)
    top, *directories, name = Path(real).parts
    at = os.open(top, os.O_PATH | os.O_CLOEXEC)
    try:
        for each in directories:
            below = os.open(each, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = below
        return os.open(name, flags, dir_fd=at)
    finally:
        os.close(at)


def _looked_at(place: Place, descriptor: int) -> LocalFile:
    status = os.fstat(descriptor)
    require_regular(status.st_mode, place.shown)
    return LocalFile(place, status.st_size, status.st_mtime_ns, (status.st_dev, status.st_ino))


def _unreadable(shown: str, error: Exception) -> RowError:
    return RowError("media_unreadable", f"{shown!r} cannot be read: {getattr(error, 'strerror', None) or error}")
