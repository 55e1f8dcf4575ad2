"""kill -9 at random moments of a run of 1,319 rows, which is the size of GSM8K's test set."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.processes import emulator
from tests.reliability.books import Judge
from tests.reliability.figures import Figure
from tests.reliability.lives import Life
from tests.reliability.scenarios import Scenario

_ROWS = 1319
_SLOTS = 8
_KILLS_FULL, _KILLS_SHORT = 100, 6
#: Every POST of unknown fate is sent again, so that each is there to be counted.
_RESUBMIT = {"ambiguous": {"model": "resubmit", "max_resubmits": _ROWS}}
_HOLD = {"ambiguous": {"model": "hold"}}


class Ordeal:
    """One run, killed again and again. `slots` counts the POSTs that were open when it was killed."""

    def __init__(self, where: Path, ledger: Path, url: str, seed: int, retry: dict[str, object]) -> None:
        self.where, self._url, self._random = where, url, Random(seed)
        self.judge = Judge(ledger)
        self.kills = self.slots = 0
        # About a sum each; the rows of a run that is killed often must not be done before the last kill.
        sums = Scenario({"input": "What is {{ word }} plus {{ id }}?"}, limits={"posts": _SLOTS, "in_flight": 64})
        sums.write(where, _ROWS, retry=retry)

    def survive(self, kills: int) -> int:
        """Kill so often, at moments spread over the whole run; then let it end. Returns its exit code."""
        for moment in self._moments(kills):
            life = self._life()
            while len(self.judge.posts(self.where)) < moment and not life.ends(0.01):
                pass
            life.ends(self._random.uniform(0, 0.05))
            life.kill()
            self.kills += life.end().code < 0
            self.slots += self._open()
        return self._life().end().code

    def _moments(self, kills: int) -> Iterator[int]:
        """Numbers of POSTs. The first kills of ten are in the start, before any."""
        yield from sorted(self._random.randrange(_ROWS - 3 * _SLOTS) * (n % 10 > 0) for n in range(kills))

    def _life(self) -> Life:
        return Life(self.where, "run", "job.json", "--base-url", self._url, "--quiet")

    def _open(self) -> int:
        """Attempts that have an intent and no outcome, which the next start calls ambiguous."""
        path = self.where / "runs/job/run.db"
        if not path.exists():
            return 0
        with sqlite3.connect(path) as connection:
            try:
                (found,) = connection.execute("SELECT count(*) FROM attempt WHERE state = 'intent'").fetchone()
            except sqlite3.OperationalError:  # killed before there was a table
                return 0
        connection.close()
        return int(found)


def prove(where: Path, *, full: bool) -> list[Figure]:
    kills = _KILLS_FULL if full else _KILLS_SHORT
    with emulator(where, "--latency", "0s") as url:
        ledger = where / "ledger.jsonl"
        again = Ordeal(where / "again", ledger, url, 1, _RESUBMIT)
        ended = again.survive(kills)
        held = Ordeal(where / "held", ledger, url, 2, _HOLD)
        ended_held = held.survive(kills if full else 2)
        faults = _judged(again, ended, allowed=again.slots) + _judged_held(held, ended_held)
        posts, posts_held = len(again.judge.posts(again.where)), len(held.judge.posts(held.where))
    return [
        Figure(
            f"random kill -9 over {_ROWS:,} rows",
            "POSTs at most rows plus the slots open at the kills; lost 0; under `hold` paid twice 0",
            f"{again.kills} kills with {again.slots} open slots: {posts:,} POSTs; under `hold` {held.kills} kills with "
            f"{held.slots}: {posts_held:,} POSTs; {len(faults)} faults",
            not faults,
            "; ".join(faults[:20]) or "the moments are drawn by seed, over the POSTs and then up to 50 ms more",
        )
    ]
