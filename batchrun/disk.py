"""What only the operating system can promise about files."""

from __future__ import annotations

import os
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Make a directory's entries survive a power cut. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_at(descriptor: int, content: bytes, place: int) -> None:
    """Write all of it, however little the system takes at a time. Raises OSError."""
    done = 0
    while done < len(content):
        done += os.pwrite(descriptor, memoryview(content)[done:], place + done)
