"""The files of media: written in pieces, named by their content, whole and durable or not there."""

from __future__ import annotations

import os
import re
import shutil
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from batchrun.disk import sync_directory
from batchrun.errors import StoreError
from batchrun.outputs.files import draft_of, sweep

#: Characters of base64, and bytes of a file, that are turned at a time; a multiple of 4.
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a medium, in pieces, as often as they are wanted: there is never a whole copy of them."""

    size: int
    pieces: Callable[[], Iterator[bytes]]

    @classmethod
    def of_base64(cls, data: str) -> Content | None:
        """What `data` holds; None where encoding that again would not give `data`."""
        if not data or not _is_exact(data):
            return None
        return cls(len(data) // 4 * 3 - data[-2:].count("="), partial(_decoded, data))

    @classmethod
    def of_file(cls, path: Path) -> Content:
        """What a file holds. Raises OSError."""
        return cls(path.stat().st_size, partial(_read, path))

    @property
    def head(self) -> bytes:
        return next(self.pieces(), b"")[:16]


@dataclass(frozen=True, slots=True)
class Written:
    """A file: its name, the hex SHA-256 of what is in it, and its size in bytes."""

    name: str
    sha256: str
    size: int


def write(header: bytes, content: Content, directory: Path, stem: str, extension: str) -> Written:
    """Write a file (mode 0600) that is named by what is in it, so that to write it twice is harmless. Raises OSError.

    It is on the disk when this returns; its name is once the directory is synced.
    """
    digest = sha256(header)
    for piece in content.pieces():
        digest.update(piece)
    name = f"{_slug(stem)}-{digest.hexdigest()[:12]}.{extension}"
    with draft_of(directory / name) as (draft, descriptor):
        with draft.open("wb") as file:
            file.write(header)
            file.writelines(content.pieces())
        os.fsync(descriptor)
        draft.replace(directory / name)
    return Written(name, digest.hexdigest(), len(header) + content.size)


def read_back(path: Path, digest: str) -> bytes:
    """What is in a file. Raises StoreError if it is gone, or not what was written there."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {str(path)!r}: {error.strerror}, and the conversation needs it.") from error
    if sha256(content).hexdigest() != digest:
        raise StoreError(f"{str(path)!r} is not what the service sent any more, and the conversation needs it.")
    return content


@contextmanager
def filling(directory: Path) -> Iterator[None]:
    """The directory's entries are durable when the block has ended well. Makes it (mode 0700). Raises StoreError."""
    try:
        if not directory.is_dir():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(directory.parent)
        yield
        sync_directory(directory)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(
            f"cannot write to {str(directory)!r}: {reason}. Put that right, and run the same command again."
        ) from error


def share(names: Iterable[str], source: Path, target: Path) -> None:
    """See that `target` has the files of `source` with these names: links, or copies on another disk.

    A file that `source` does not have any more is left out. Raises OSError.
    """
    for name in names:
        if not (target / name).exists():
            with suppress(FileNotFoundError):
                _link(source / name, target / name)


def tidy(directory: Path) -> None:
    """Remove what killed writers left behind, as far as possible."""
    with suppress(OSError):
        sweep(directory)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except FileNotFoundError:
        raise
    except OSError:  # another disk, or one without links
        with draft_of(target) as (draft, descriptor):
            shutil.copyfile(source, draft)
            os.fsync(descriptor)
            draft.replace(target)


def _slug(text: str) -> str:
    """`text` as the beginning of a file name: at most 60 characters that are safe everywhere."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:60] or "row"


def _is_exact(data: str) -> bool:
    try:
        return all(b64encode(piece) == part for piece, part in zip(_decoded(data), _parts(data), strict=True))
    except ValueError:
        return False


def _decoded(data: str) -> Iterator[bytes]:
    """Raises ValueError for what is no base64, or is padded before its end."""
    for part in _parts(data):
        yield b64decode(part, validate=True)


def _parts(data: str) -> Iterator[bytes]:
    for start in range(0, len(data), _CHUNK):
        part = data[start : start + _CHUNK].encode("ascii")
        if part.endswith(b"=") and start + _CHUNK < len(data):
            raise ValueError("padding within the data")
        yield part


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            yield piece
