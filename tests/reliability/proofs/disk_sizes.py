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

from batchrun.store import ballast
from tests.processes import emulator
from tests.reliability.audit import Judge
from tests.reliability.figures import Figure
from tests.reliability.lives import End, lived
from tests.reliability.scenarios import ROWS, SCENARIOS

_STEPS_FULL, _STEPS_SHORT = 40, 4
#: Bytes beside the reserve that a run takes: from what holds a checkpoint and nothing else, to what holds all of it.
_BESIDE = (100_000, 500_000)
#: Bytes of the largest file, likewise.
_FILES = (60_000, 600_000)
_RESERVE, _LITTLE = 4 << 20, 64 << 10
_ROOM = 64_000_000
_POSTS = 3
_DISK, _HELD = 74, 4


@dataclass(frozen=True, slots=True)
class Bound:
    """No file of this process may grow beyond so many bytes."""

    size: int

    def __call__(self) -> None:
        ballast._SIZE = _LITTLE  # or no run would begin; to have it back is of no use here
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
            return self._told(where, f"a disk of {size:,} bytes", ended, held=0)

    def within(self, size: int) -> list[str]:
        """The same of a run none of whose files may have more bytes, and of one without that limit."""
        where = self._begun(f"limit-{size}")
        return self._told(where, f"files of {size:,} bytes", lived(where, *self._words, first=Bound(size)), held=_POSTS)

    def _begun(self, name: str) -> Path:
        where = self._where / name
        SCENARIOS["media"].write(where, output={}, limits={"posts": _POSTS, "in_flight": ROWS})
        (where / "runs").mkdir()
        return where

    def _told(self, where: Path, what: str, ended: End, held: int) -> list[str]:
        """Faults of a run that ended, and of the one that goes on. At most `held` rows may be in doubt."""
        self.codes[ended.code] += 1
        resumed = lived(where, *self._words)
        return [f"{what}: {fault}" for fault in (*_badly(ended), *_unfinished(self._judge, where, resumed, held))]


def _badly(ended: End) -> Iterator[str]:
    if ended.code not in (0, _DISK):
        yield f"it ended with {ended.code}: {ended.err[-300:]}"
    if "Traceback" in ended.err or "itself failed" in ended.err:
        yield f"it told the user {ended.err[-300:]}"


def _unfinished(judge: Judge, where: Path, resumed: End, most: int) -> Iterator[str]:
    if resumed.code not in (0, _HELD):
        yield f"it cannot go on: {resumed.code} {resumed.err[-300:]}"
        return
    held = int(json.loads((where / "runs/job/run.json").read_text())["ambiguous"])
    if held > most:
        yield f"{held} rows are held, where {most} may be"
    yield from judge.faults(where, rows=ROWS, doubts=held)


def sizes(least: int, most: int, steps: int) -> list[int]:
    """So many numbers of bytes, evenly spread."""
    return [round(least + (most - least) * n / (steps - 1)) for n in range(steps)]


def prove(where: Path, *, full: bool) -> list[Figure]:
    steps = _STEPS_FULL if full else _STEPS_SHORT
    with emulator(where, "--latency", "0s") as url:
        small = Small(where, url)
        found = [fault for size in sizes(*_BESIDE, steps) for fault in small.on_disk(_RESERVE + size)]
        found += [fault for size in sizes(*_FILES, steps) for fault in small.within(size)]
    return [
        Figure(
            "disks with too little room for a run beside its reserve",
            f"{_STEPS_FULL} sizes; exit 74 or clean; complete after growth, nothing paid twice, none in doubt",
            f"{small.mounted} sizes of a disk, {steps} of the largest file: {small.codes[_DISK]} ended with 74, "
            f"{small.codes[0]} had room enough; {len(found)} faults",
            not found and small.codes[_DISK] > 0,
            "; ".join(found[:20])
            or "disks are tmpfs, where one can be mounted; where a file may not grow, the reserve "
            f"is no help, and a row may be in doubt for each of {_POSTS} open POSTs",
        )
    ]
