"""The one value that is drawn of a run, whoever fills it and whatever draws it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from batchrun.rows import Outcome
from batchrun.views.estimate import Left
from batchrun.views.troubles import Trouble

#: Rows that only the user can say how to go on with.
HELD = (Outcome.AMBIGUOUS, Outcome.AWAITING_APPROVAL)
GOOD = (Outcome.SUCCEEDED, Outcome.SKIPPED)


class State(StrEnum):
    """What a run does. `NEW` has no checkpoint yet; `IDLE` has rows to go on with, and nobody runs it.

    `RESTING` is the same under a pause that holds: the next run begins paused. `LEAVING` is one that was told to end
    early: to drain, or to detach. `TELLING` has done its work, and tells the targets of its alerts.
    """

    NEW = "not begun"
    RUNNING = "running"
    PAUSED = "paused"
    LEAVING = "leaving"
    STOPPING = "stopping"
    TELLING = "telling alerts"
    IDLE = "not running"
    RESTING = "paused, not running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the rows of a run or a stage stand: those that have `ended`, by outcome, in flight, and neither yet."""

    ended: Mapping[Outcome, int] = field(default_factory=dict)
    in_flight: int = 0
    waiting: int = 0

    @property
    def done(self) -> int:
        return sum(self.ended.values())

    @property
    def rows(self) -> int:
        return self.done + self.in_flight + self.waiting

    @property
    def good(self) -> int:
        """With the rows that a condition has left out, or that lack a row that failed."""
        return sum(self.ended.get(outcome, 0) for outcome in GOOD)

    @property
    def held(self) -> int:
        return sum(self.ended.get(outcome, 0) for outcome in HELD)

    @property
    def failed(self) -> int:
        """Ended without a usable answer."""
        return self.done - self.good - self.held


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the answers that came took, as far as the service said."""

    input: int = 0
    output: int = 0
    thought: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output + self.thought


@dataclass(frozen=True, slots=True)
class View:
    """A run at a moment. Rates are None where too little is known.

    `elapsed` is how long this process runs it (seconds), None if none does. With `more`, rows may still follow from
    others. `stages` are those of a pipeline by name, in its order. `rpm` and `max_cost` (dollars) are the limits in
    force, `charged` (dollars) what counts against the latter. `troubles` are the last ones first. `notices` say in
    words what goes on, such as a pause that the service asked for, `warnings` what to do something about.
    """

    job: str
    state: State
    standing: Standing
    elapsed: float | None = None
    more: bool = False
    stages: Mapping[str, Standing] = field(default_factory=dict)
    rows_a_second: float | None = None
    posts_a_minute: float | None = None
    rpm: float | None = None
    tokens: Tokens = Tokens()
    tokens_a_minute: float | None = None
    charged: float | None = None
    max_cost: float | None = None
    left: Left | None = None
    troubles: tuple[Trouble, ...] = ()
    notices: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def standing_of(counts: Mapping[str, int]) -> Standing:
    """From the counts of `stage_tallies`."""
    ended = {Outcome(name): count for name, count in counts.items() if name not in ("pending", "in_flight")}
    return Standing(ended, counts.get("in_flight", 0), counts.get("pending", 0))


def together(standings: Mapping[str, Standing]) -> Standing:
    """The rows of all stages."""
    ended = {
        outcome: count
        for outcome in Outcome
        if (count := sum(each.ended.get(outcome, 0) for each in standings.values()))
    }
    return Standing(
        ended, sum(each.in_flight for each in standings.values()), sum(each.waiting for each in standings.values())
    )


def rows_may_follow(stages: Mapping[str, Standing]) -> bool:
    """Whether rows of a later stage may still come of those that have not ended."""
    *earlier, _ = stages.values() if stages else (None,)
    return any(each is not None and each.rows > each.done for each in earlier)
