"""The same run started by many processes at once: one of them sends, the others say who does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path

from tests.processes import emulator
from tests.reliability.audit import Judge
from tests.reliability.figures import Figure
from tests.reliability.lives import FORKS, End, Life
from tests.reliability.planted import Step, in_turn, nothing
from tests.reliability.scenarios import Scenario

_STARTS_FULL, _STARTS_SHORT = 200, 8
_AT_ONCE = 8
_ROWS = 4
_TRY_LATER = 75
_JOB = Scenario({"input": "Say {{ word }}"}, limits={"posts": 2, "in_flight": 4})


class Together:
    """A step at which as many processes wait for one another."""

    def __init__(self, number: int, then: Step) -> None:
        self._barrier: Barrier = FORKS.Barrier(number)
        self._then = then

    def __call__(self) -> None:
        in_turn(self._then)
        self._barrier.wait(60)


def race(where: Path, url: str, *, planted: Step = nothing) -> list[str]:
    """What is wrong with so many starts at once."""
    _JOB.write(where, _ROWS)
    together = Together(_AT_ONCE, planted)
    words = ("run", "job.json", "--base-url", url, "--quiet")
    lives = [Life(where, *words, first=together) for _ in range(_AT_ONCE)]
    pids = [life.pid for life in lives]
    ends = [life.end() for life in lives]
    judge = Judge(where.parent / "ledger.jsonl")
    posts = judge.count(where)
    found = [] if posts == _ROWS else [f"{posts} POSTs for {_ROWS} rows"]
    return [*found, *_losers(pids, ends), *judge.faults(where, rows=_ROWS, doubts=0)]


def _losers(pids: Sequence[int], ends: Sequence[End]) -> Iterator[str]:
    """All but one end with 75, and tell the process that runs."""
    winners = [pid for pid, end in zip(pids, ends, strict=True) if end.code == 0]
    if len(winners) != 1:
        yield f"{len(winners)} of {len(ends)} ended with 0: {[(end.code, end.err[-200:]) for end in ends]}"
        return
    for end in (end for end in ends if end.code != 0):
        told = re.search(r"process (\d+) on", end.err)
        if end.code != _TRY_LATER or told is None or int(told[1]) != winners[0]:
            yield f"one ended with {end.code} where process {winners[0]} runs: {end.err[-300:]}"


def prove(where: Path, *, full: bool) -> list[Figure]:
    starts = _STARTS_FULL if full else _STARTS_SHORT
    with emulator(where, "--latency", "4s") as url:  # the last to start must not come after the end
        faults = [fault for n in range(starts // _AT_ONCE) for fault in race(where / f"race-{n}", url)]
    return [
        Figure(
            "simultaneous starts of one run",
            f"{_STARTS_FULL}; POSTs from exactly one; the others exit with 75 and the pid of the one that runs",
            f"{starts} starts, {len(faults)} faults",
            not faults,
            "; ".join(faults[:10]) or f"{_AT_ONCE} processes at a time, which wait for one another before they start",
        )
    ]
