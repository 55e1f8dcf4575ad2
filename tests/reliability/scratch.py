"""Folders in memory, where there are such: what a simulation tries is not the disk, and it writes all the time."""

from __future__ import annotations

import tempfile
from pathlib import Path

_RAM = Path("/dev/shm")


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder that is removed afterwards."""
    return tempfile.TemporaryDirectory(prefix="batchrun-scratch-", dir=_RAM if _RAM.is_dir() else None)
