"""Disks that are too small by a little or by much: the run says so, and goes on where there is room."""

from __future__ import annotations

import json
import resource
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.processes import emulator
from tests.reliability.audit import Judge
from tests.reliability.figures import Figure
from tests.reliability.lives import End, lived
from tests.reliability.scenarios import ROWS, SCENARIOS

_STEPS_FULL, _STEPS_SHORT = 40, 4
#: Bytes: from what does not hold a checkpoint to what holds a run and more.
_LEAST, _MOST = 100_000, 3_000_000
_ROOM = 64_000_000
_DISK, _HELD = 74, 4


@dataclass(frozen=True, slots=True)
class Bound:
    """No file of this process may grow beyond so many bytes."""

    size: int

    def __call__(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.size))


@contextmanager
def small_disk(where: Path, size: int) -> Iterator[bool]:
    """A file system of this size at `where`, gone after the block; False where none can be had."""
    mounted = _done("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(where))
    try:
        yield mounted
    finally:
        if mounted:
            assert _done("umount", "--lazy", str(where))


def _done(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


class Small:
    """Runs against one emulator that have too little room, each in a directory of its own below `where`.

    `mounted` counts those that had a disk of their own; the others have a limit of their files' sizes.
    """

    def __init__(self, where: Path, url: str) -> None:
        self._where, self._words = where, ("run", "job.json", "--base-url", url, "--quiet")
        self._judge = Judge(where / "ledger.jsonl")
        self.mounted = 0
        self.codes = Counter[int]()

    def on_disk(self, size: int) -> list[str]:
        """What is wrong with a run on a disk of so many bytes, or with the one that goes on when it has grown."""
        where = self._begun(f"disk-{size}")
        with small_disk(where / "runs", size) as mounted:
            if not mounted:
                return []
            self.mounted += 1
            ended = lived(where, *self._words)
            assert _done("mount", "-o", f"remount,size={_ROOM}", str(where / "runs"))
            return self._told(where, f"a disk of {size:,} bytes", ended)

    def within(self, size: int) -> list[str]:
        """The same of a run none of whose files may have more bytes, and of one without that limit."""
        where = self._begun(f"limit-{size}")
        return self._told(where, f"files of {size:,} bytes", lived(where, *self._words, first=Bound(size)))

    def _begun(self, name: str) -> Path:
        where = self._where / name
        SCENARIOS["media"].write(where, output={})
        (where / "runs").mkdir()
        return where

    def _told(self, where: Path, what: str, ended: End) -> list[str]:
        self.codes[ended.code] += 1
        resumed = lived(where, *self._words)
        return [f"{what}: {fault}" for fault in (*_badly(ended), *_unfinished(self._judge, where, resumed))]


def _badly(ended: End) -> Iterator[str]:
    if ended.code not in (0, _DISK):
        yield f"it ended with {ended.code}: {ended.err[-300:]}"
    if "Traceback" in ended.err or "itself failed" in ended.err:
        yield f"it told the user {ended.err[-300:]}"


def _unfinished(judge: Judge, where: Path, resumed: End) -> Iterator[str]:
    if resumed.code not in (0, _HELD):
        yield f"it cannot go on: {resumed.code} {resumed.err[-300:]}"
        return
    held = int(json.loads((where / "runs/job/run.json").read_text())["ambiguous"])
    if held > 1:
        yield f"{held} rows are held, of one slot"
    yield from judge.faults(where, rows=ROWS, doubts=held)


def sizes(steps: int) -> list[int]:
    """Bytes, each as much more than the one before."""
    return [round(_LEAST * (_MOST / _LEAST) ** (n / (steps - 1))) for n in range(steps)]


def prove(where: Path, *, full: bool) -> list[Figure]:
    steps = sizes(_STEPS_FULL if full else _STEPS_SHORT)
    with emulator(where, "--latency", "0s") as url:
        small = Small(where, url)
        found = [fault for size in steps for fault in (*small.on_disk(size), *small.within(size))]
    return [
        Figure(
            "disks from 100 kB to 3 MB",
            f"{_STEPS_FULL} sizes; exit 74 or clean; complete after growth, nothing paid twice",
            f"{small.mounted} sizes of a disk, {len(steps)} of the largest file: {small.codes[_DISK]} ended with 74, "
            f"{small.codes[0]} had room enough; {len(found)} faults",
            not found and small.codes[_DISK] > 0,
            "; ".join(found[:20]) or "disks are tmpfs, where one can be mounted",
        )
    ]
