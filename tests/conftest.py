"""Property tests: no time limits, which a busy machine breaks, and the same examples wherever CI runs.

Temporary files are in memory where there is room: runs sync all the time, and here no power is cut.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

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
