"""Runs to which things are said while they go on."""

from __future__ import annotations

from typing import Any

from batchrun.engine.events import Event, Steered
from batchrun.runs.run import Result
from batchrun.store.control import Answer, Control, Verb
from batchrun.store.lock import myself
from tests.rehearsal import Rehearsal

#: At which event, the how manieth of its kind, what is said.
Step = tuple[type[Event], int, Verb, dict[str, Any]]
LASTING = (Verb.PAUSE, Verb.RESUME)


class Operator:
    """Says things at events, by how often each kind has come. `heard` is what the run said of them, and when."""

    def __init__(self, job: Rehearsal, *plan: Step) -> None:
        self._job, self._plan, self._seen = job, list(plan), dict[type[Event], int]()
        self.heard: list[tuple[float, str]] = []
        self.numbers: list[int] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Steered):
            self.heard.append((self._job.clock.wall(), event.text))
        count = self._seen[type(event)] = self._seen.get(type(event), 0) + 1
        for kind, number, verb, settings in self._plan:
            if isinstance(event, kind) and count == number:
                self.say(verb, settings)

    def say(self, verb: Verb, settings: dict[str, Any]) -> None:
        to = None if verb in LASTING else myself()
        self.numbers.append(self.control.say(verb, settings, self._job.clock.wall(), "anna on here", to))

    @property
    def control(self) -> Control:
        return Control(self._job.directory)

    @property
    def answers(self) -> list[Answer | None]:
        return [self.control.answered(number) for number in self.numbers]

    def when(self, words: str) -> float:
        return next(at for at, text in self.heard if words in text)


def operated(job: Rehearsal, *plan: Step, **more: Any) -> tuple[Operator, Result]:
    operator = Operator(job, *plan)
    return operator, job.run(observe=operator, looks=0.5, **more)


def starts(job: Rehearsal) -> list[float]:
    return sorted(line["time"] for line in job.accepted())
