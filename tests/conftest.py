"""Property tests: no time limits, which a busy machine breaks, and the same examples wherever CI runs.

Temporary files are in memory where there is room: runs sync all the time, and here no power is cut.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

_RAM, _ROOM = Path("/dev/shm"), 4 << 30
if _RAM.is_dir() and shutil.disk_usage(_RAM).free > _ROOM:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_RAM))

# A shell starts what is in its background with Ctrl-C ignored, and processes inherit that; most tests of it mean them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: What takes longest, by a file or a folder of tests: it goes first, so that nobody waits for it alone at the end.
_LONGEST = ("tests/schedule/test_cron.py", "tests/reliability/", "tests/cli/test_watching.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((n for n, name in enumerate(_LONGEST) if item.nodeid.startswith(name)), 99))


def pytest_xdist_auto_num_workers() -> int:
    """One more than processors: a good part of the suite waits for clocks of real programs, such as cron's."""
    return len(os.sched_getaffinity(0)) + 1
