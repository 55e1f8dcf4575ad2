"""Processes and what they cost: `batchrun` commands, scripts of ours, and an emulator on a socket."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

BATCHRUN = (sys.executable, "-c", "from batchrun.cli import main; main()")
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process used from its start to its end. `cpu` is user and system seconds, all threads."""

    cpu: float
    peak_bytes: int
    code: int


def wall() -> float:
    """Unix seconds."""
    return time.time()  # noqa: TID251


def start(command: Sequence[str], folder: Path, **options: object) -> subprocess.Popen[str]:
    """Start a command in `folder`, with this repository importable."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GEMINI_API_KEY": "none", "BATCHRUN_STATE": str(folder)}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **options)  # type: ignore[call-overload, no-any-return]


def finish(process: subprocess.Popen[str]) -> Cost:
    """Wait for the end of a process that may write only little."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss * unit, process.returncode)


def measure(command: Sequence[str], folder: Path, *, expect: int = 0) -> Cost:
    """Run a command to its end. Raises RuntimeError if it does not end as expected."""
    cost = finish(start(command, folder, stdout=subprocess.DEVNULL))
    if cost.code != expect:
        raise RuntimeError(f"{' '.join(command[-6:])} ended with {cost.code}, not {expect}")
    return cost


@dataclass(frozen=True, slots=True)
class Served:
    """An emulator on a socket."""

    url: str
    pid: int

    @property
    def cpu(self) -> float:
        """Seconds of CPU that it has used so far."""
        used = psutil.Process(self.pid).cpu_times()
        return float(used.user + used.system)


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """`batchrun emulator serve` without latency; ends with the block."""
    command = (*BATCHRUN, "emulator", "serve", "--port", "0", "--latency", "0s")
    process = start(command, folder, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield Served(process.stdout.readline().strip(), process.pid)
    finally:
        process.terminate()
        process.communicate()
