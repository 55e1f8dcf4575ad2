"""What a process holds at most. `ru_maxrss` would begin with what its parent held."""

from __future__ import annotations

from pathlib import Path


def peak_mb() -> int:
    """The most memory that this process has held at once since it began its program, in MB; Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) // 1024
