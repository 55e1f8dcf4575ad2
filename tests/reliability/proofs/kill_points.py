"""kill -9 at every labelled point of a run, at its first, second and last occurrence; then the run is resumed."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.processes import emulator
from tests.reliability.audit import Judge
from tests.reliability.figures import Figure
from tests.reliability.labels import LABELS, Label
from tests.reliability.lives import End, lived
from tests.reliability.planted import Step, in_turn, nothing
from tests.reliability.points import count_at, die_at
from tests.reliability.scenarios import ROWS, SCENARIOS, Scenario

_AT_ONCE = 2
_HELD = 4


@dataclass(frozen=True, slots=True)
class Death:
    """A label, and at which of its occurrences."""

    label: Label
    occurrence: int

    def __str__(self) -> str:
        return f"{self.label.words}:{self.occurrence}"


class Killing:
    """Runs against one emulator, each in a directory of its own below `where`, and each killed once.

    `planted` is a fault that every process of batchrun is given.
    """

    def __init__(self, where: Path, url: str, planted: Step = nothing) -> None:
        self._where, self._url, self._planted = where, url, planted
        self._judge = Judge(where / "ledger.jsonl")

    def _begun(self, scenario: Scenario, where: Path) -> None:
        if scenario.begun:
            scenario.write(where, scenario.begun)
            ended = self._run(where)
            assert ended.code == 0, ended.err
        scenario.write(where)

    def _run(self, where: Path, *steps: Step) -> End:
        words = ("run", "job.json", "--base-url", self._url, "--quiet")
        return lived(where, *words, first=partial(in_turn, self._planted, *steps))

    def occurrences(self, labels: Sequence[Label]) -> Counter[Label]:
        """How often a run that lives to its end passes each of these labels."""
        counted = Counter[Label]()
        for name in dict.fromkeys(label.scenario for label in labels):
            own, scenario = [label for label in labels if label.scenario == name], SCENARIOS[name]
            where = self._where / f"counted-{name}"
            self._begun(scenario, where)
            counting = partial(count_at, [label.point for label in own], where / "passed")
            ended = self._run(where, scenario.step, counting)
            assert ended.code == 0, ended.err
            counted.update(own[int(line)] for line in (where / "passed").read_text().split())
        return counted

    def faults(self, death: Death) -> list[str]:
        """What is wrong after a death and a resumption."""
        where = self._where / str(death).replace("/", "-").replace(":", "-")
        scenario = SCENARIOS[death.label.scenario]
        self._begun(scenario, where)
        killed = self._run(where, scenario.step, partial(die_at, death.label.point, death.occurrence))
        resumed = self._run(where, scenario.step)
        doubts = int(death.label.doubt != "nothing")
        found = [] if killed.code == -signal.SIGKILL else [f"it was not killed: {killed.code} {killed.err}"]
        if resumed.code != (_HELD if doubts else 0):
            found.append(f"the run that goes on ends with {resumed.code}: {resumed.out} {resumed.err}")
        if (where / "runs/job/run.json").exists():
            found += self._judge.faults(where, rows=ROWS, doubts=doubts)
        return [f"{death}: {fault}" for fault in found]


def deaths(counted: Counter[Label], *, full: bool) -> list[Death]:
    """The first, second and last occurrence of each label.

    In a short proof the last one alone, of the labels where money is in doubt and of every eighth of the others.
    """
    if full:
        return [Death(label, n) for label in LABELS for n in sorted({1, min(2, counted[label]), counted[label]} - {0})]
    others = [label for label in LABELS if label.doubt != "post"][::8]
    return [Death(label, counted[label]) for label in LABELS if label.doubt == "post" or label in others]


def prove(where: Path, *, full: bool) -> list[Figure]:
    with emulator(where, "--latency", "0s") as url, ThreadPoolExecutor(_AT_ONCE) as pool:
        killing = Killing(where, url)
        counted = killing.occurrences(LABELS)
        missed = [label.words for label in LABELS if not counted[label]]
        chosen = deaths(counted, full=full)
        faults = [fault for found in pool.map(killing.faults, chosen) for fault in found]
    return [
        Figure(
            "kill -9 at every labelled point",
            "40 or more labels × first, second, last occurrence; lost 0, paid twice 0; in doubt only between intent "
            "and id",
            f"{len(LABELS)} labels, {len(chosen)} kills, {len(faults)} faults",
            not faults and not missed,
            "; ".join([*faults[:30], *(f"{name} was never reached" for name in missed)])
            or "points are set from outside, by wrapping functions in the process that is to die; runs go one row at "
            "a time, so that a death is about one row",
        )
    ]
