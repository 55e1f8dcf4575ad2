"""Writes a file so that its name always shows a whole one: the old until the new is on the disk, then the new."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from batchrun.disk import sync_directory
from batchrun.errors import StoreError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The path of an empty draft beside `path` (mode 0600), which takes its name when the block ends well.

    Then the draft is synced and renamed, and the directory synced. After an exception `path` is as it was and the draft
    is gone; a draft whose writer was killed is removed by the next one. Raises StoreError where the disk refuses.
    """
    try:
        sweep(path.parent, path.name)
        with draft_of(path) as (draft, descriptor):
            yield draft
            os.fsync(descriptor)
            draft.replace(path)
            sync_directory(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(
            f"cannot write {str(path)!r}: {reason}. Nothing is lost: put that right, then `batchrun export`."
        ) from error


@contextmanager
def reading(path: Path) -> Iterator[BufferedReader]:
    """A file that we have written. Raises StoreError where the disk does not give it back."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise StoreError(f"cannot read {str(path)!r}, which was just written: {error.strerror}.") from error


def write_whole(path: Path, content: bytes) -> None:
    """Replaces `path` by `content`. Raises StoreError."""
    with replacing(path) as draft:
        draft.write_bytes(content)


@contextmanager
def draft_of(path: Path) -> Iterator[tuple[Path, int]]:
    """A new draft beside `path` (mode 0600) and its descriptor. It is gone after the block unless it was renamed."""
    draft, descriptor = _create(path)
    try:
        yield draft, descriptor
    finally:
        draft.unlink(missing_ok=True)
        os.close(descriptor)


def _create(path: Path) -> tuple[Path, int]:
    """A new draft and its descriptor, locked. The lock tells others that its writer lives."""
    while True:
        descriptor, name = tempfile.mkstemp(".tmp", f".{path.name}.", path.parent)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return Path(name), descriptor
        os.close(descriptor)  # another writer took it for abandoned before it was locked


def sweep(directory: Path, name: str = "") -> None:
    """Remove the drafts of the file `name`, or of any, whose writers were killed. Raises OSError."""
    prefix = f".{name}." if name else "."
    for found in directory.iterdir():
        if found.name.startswith(prefix) and found.name.endswith(".tmp"):
            _remove_if_abandoned(found)


def _remove_if_abandoned(draft: Path) -> None:
    try:
        descriptor = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.unlink(missing_ok=True)
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)
