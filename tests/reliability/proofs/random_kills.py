"""kill -9 at random moments of a run of 1,319 rows, which is the size of GSM8K's test set."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

from tests.processes import emulator
from tests.reliability.audit import Judge
from tests.reliability.figures import Figure
from tests.reliability.lives import Life
from tests.reliability.planted import Step, nothing
from tests.reliability.scenarios import Scenario

_ROWS = 1319
_SLOTS = 8
_ROWS_HELD = 4
_KILLS_FULL, _KILLS_SHORT = 100, 6
#: Every POST of unknown fate is sent again, so that each is there to be counted.
_RESUBMIT = {"ambiguous": {"model": "resubmit", "max_resubmits": _ROWS}}
_HOLD = {"ambiguous": {"model": "hold"}}


class Ordeal:
    """One run, killed again and again. `slots` counts the POSTs that were open when it was killed.

    Its processes have the fault `planted`.
    """

    def __init__(
        self, where: Path, url: str, seed: int, *, hold: bool, rows: int = _ROWS, planted: Step = nothing
    ) -> None:
        self.where, self._url, self._random = where, url, Random(seed)
        self.judge = Judge(where.parent / "ledger.jsonl")
        self._hold, self._rows, self._planted = hold, rows, planted
        self.kills = self.slots = 0
        sums = Scenario({"input": "What is {{ word }} plus {{ id }}?"}, limits={"posts": _SLOTS, "in_flight": 64})
        sums.write(where, rows, retry=_HOLD if hold else _RESUBMIT)

    def __str__(self) -> str:
        return f"{self.kills} kills with {self.slots} open slots: {self.judge.count(self.where):,} POSTs"

    def survive(self, kills: int) -> int:
        """Kill so often, at moments spread over the whole run; then let it end. Returns its exit code."""
        for moment in self._moments(kills):
            life = self._life()
            while self.judge.count(self.where) < moment and not life.ends(0.01):
                pass
            life.ends(self._random.uniform(0, 0.05))
            life.kill()
            self.kills += life.end().code < 0
            self.slots += self._open()
        return self._life().end().code

    def _moments(self, kills: int) -> Iterator[int]:
        """Numbers of POSTs. The first kills of ten are in the start, before any."""
        yield from sorted(self._random.randrange(self._rows - 3 * _SLOTS) * (n % 10 > 0) for n in range(kills))

    def _life(self) -> Life:
        return Life(self.where, "run", "job.json", "--base-url", self._url, "--quiet", first=self._planted)

    def _open(self) -> int:
        """Attempts that have an intent and no outcome, which the next start calls ambiguous."""
        path = self.where / "runs/job/run.db"
        if not path.exists():
            return 0
        with closing(sqlite3.connect(path)) as connection:
            try:
                (found,) = connection.execute("SELECT count(*) FROM attempt WHERE state = 'intent'").fetchone()
            except sqlite3.OperationalError:  # killed before there was a table
                return 0
        return int(found)

    def faults(self, code: int) -> list[str]:
        """What is wrong with the run at its end, which it reached with this exit code."""
        again = 0 if self._hold else self.slots
        held, posts = self._held() if self._hold else 0, self.judge.count(self.where)
        found = [] if code == (_ROWS_HELD if held else 0) else [f"it ended with {code}"]
        found += [f"{posts} POSTs, where {self._rows + again} may be"] if posts > self._rows + again else []
        found += [f"{held} rows held, where {self.slots} may be"] if held > self.slots else []
        return found + self.judge.faults(self.where, rows=self._rows, doubts=held, again=again)

    def _held(self) -> int:
        return int(json.loads((self.where / "runs/job/run.json").read_text())["ambiguous"])


def prove(where: Path, *, full: bool) -> list[Figure]:
    """The rows are sums made up here, not GSM8K's: what is asked does not matter to a kill."""
    kills = _KILLS_FULL if full else _KILLS_SHORT
    with emulator(where, "--latency", "0s") as url:
        again = Ordeal(where / "again", url, 1, hold=False)
        held = Ordeal(where / "held", url, 2, hold=True)
        faults = again.faults(again.survive(kills)) + held.faults(held.survive(kills if full else 2))
    return [
        Figure(
            f"random kill -9 over {_ROWS:,} rows",
            "POSTs at most rows plus the slots open at the kills; lost 0; under `hold` paid twice 0",
            f"{again}; under `hold` {held}; {len(faults)} faults",
            not faults and again.kills == kills,
            "; ".join(faults[:20]) or "moments are drawn by seed: a number of POSTs, and up to 50 ms more",
        )
    ]
