"""A bound on memory while a hostile file is unpacked: a few hundred bytes of Parquet can mean gigabytes."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOM = 300 << 20
"""Bytes."""

_STATM = Path("/proc/self/statm")


@contextmanager
def little_memory() -> Iterator[None]:
    """Inside, what asks for more than ROOM more than there is now gets a MemoryError; on Linux, elsewhere nothing.

    The bound is the process's: not for use beside threads.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        held = int(_STATM.read_text().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        yield
        return
    known = [bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY]
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (min([held + ROOM, *known]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
