"""The one place where a run reads the wall clock; everything else gets it as an argument."""

from __future__ import annotations

import time


def wall_clock() -> float:
    """Unix seconds."""
    return time.time()  # noqa: TID251
