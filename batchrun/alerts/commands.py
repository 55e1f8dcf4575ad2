"""The commands of alerts that are under way in this process, so that it can leave at once and leave none behind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: Each leads a process group of its own.
_groups = set[int]()
_starting = 0


@contextmanager
def starting() -> Iterator[None]:
    """Around the start of a command: its process may be there, and its id not known yet."""
    global _starting
    _starting += 1
    try:
        yield
    finally:
        _starting -= 1


@contextmanager
def under_way(pid: int) -> Iterator[None]:
    """Around the life of a command that leads its process group."""
    _groups.add(pid)
    try:
        yield
    finally:
        _groups.discard(pid)


def leave(code: int) -> None:
    """End this process now, with the commands and all that they have started. On the running loop."""
    if _starting:  # a few turns of the loop
        asyncio.get_running_loop().call_soon(leave, code)
        return
    for pid in _groups:
        end(pid)
    os._exit(code)


def end(pid: int) -> None:
    """Kill a command with all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
