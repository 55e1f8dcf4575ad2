"""What the engine needs to know of a job and of the attempt a row is busy with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchrun.engine.budget import Budget
from batchrun.engine.conversation import Ask, Check, Exchange, Script
from batchrun.engine.limits import Lease
from batchrun.engine.media import Media
from batchrun.engine.request import Draft, Request
from batchrun.interactions.models import Interaction
from batchrun.spec.asking import RequestSpec
from batchrun.spec.model import JobSpec
from batchrun.spec.stages import StageLimitsSpec
from batchrun.store.records import AttemptRecord, AttemptState, RowRecord
from batchrun.tools import Toolbox
from batchrun.tools.transforms import Transformed

_NO_LIMITS = StageLimitsSpec()


@dataclass(frozen=True, slots=True)
class Stage:
    """What is done with the rows of one stage; a job without stages is one that has no `name`.

    `spec` is the job's, with the stage's own request and policies. `next_request` makes a row's request after the
    exchanges so far; it raises RowError; `media` reads the files of a Draft. `check_for` gives what judges a row's
    answer, None where any will do; `toolbox` holds the user's functions. `waits` is true where POSTs bring their
    answer. `transform` is what is done instead of asking; it may block. `budget` and `limits` are its own, within the
    run's. `follows` is true where its rows are made of those of others, `output_of` gives what others are made of, from
    an answer of its.
    """

    name: str
    spec: JobSpec
    next_request: Callable[[RowRecord, Sequence[Exchange], Ask], Request | Draft]
    media: Media
    check_for: Callable[[RowRecord], Check | None]
    script_for: Callable[[RowRecord], Script]
    waits: bool
    toolbox: Toolbox | None = None
    transform: Callable[[RowRecord], Transformed] | None = None
    timeout: float = 0.0
    limits: StageLimitsSpec = _NO_LIMITS
    budget: Budget | None = None
    follows: bool = False
    output_of: Callable[[RowRecord, Interaction], str] | None = None

    @property
    def request(self) -> RequestSpec:
        """Its section of the job file."""
        return self.spec.request

    async def aclose(self) -> None:
        """End what functions have left running, and keep no fetched file."""
        if self.toolbox is not None:
            await asyncio.to_thread(self.toolbox.close)
        await self.media.aclose()


@dataclass(frozen=True, slots=True)
class Work:
    """A job as the engine sees it.

    `answers` is the directory for answers' files. `rows` is how many the checkpoint holds, `resubmits` how many
    ambiguous POSTs were sent again so far. `resumed` is true where an earlier process has begun the run, `refused`
    where POSTs of it were refused, or could not be sent. `budget` is None where nothing limits what the run may cost.
    `settled` tells, in a job of stages, whether all that a row was made of has ended for good. `told_at` is the address
    at which the service is asked to tell of the end of interactions, empty where it is not asked.
    """

    spec: JobSpec
    run_id: str
    stages: Mapping[str, Stage]
    answers: Path
    rows: int
    resubmits: int
    resumed: bool = False
    refused: bool = False
    budget: Budget | None = None
    settled: Callable[[RowRecord], bool] | None = None
    told_at: str = ""

    def of(self, row: RowRecord) -> Stage:
        """The stage that a row is in."""
        return self.stages[row.stage]

    @property
    def budgets(self) -> Mapping[str, Budget]:
        """What bounds the cost of the run, as "", and of stages that have a limit of their own."""
        own = {name: stage.budget for name, stage in self.stages.items() if stage.budget is not None}
        return own if self.budget is None else {"": self.budget, **own}

    def budget_of(self, row: RowRecord) -> Budget | None:
        """What bounds the cost of a row."""
        return self.of(row).budget or self.budget


@dataclass(slots=True)
class Attempt:
    """The interaction a row is busy with. Times are Unix seconds; an `answer` is already durable.

    `kind` is what takes about as long: the model or agent, and the number of the exchange. `reply` is what came of the
    answer to a POST of unknown fate; of such a one `submitted_at` is when it was sent.
    """

    id: int
    state: AttemptState
    intent_key: str
    interaction_id: str = ""
    submitted_at: float = 0.0
    evidence: str = ""
    agent: bool = False
    answer: Interaction | None = None
    lease: Lease | None = None
    resumed: bool = False
    polls: int = 0
    kind: tuple[str | None, int] = (None, 0)
    reply: bytes = b""


def under_way(row: RowRecord) -> Attempt | None:
    """The attempt that an earlier run left behind, None if the row has to be sent."""
    known = row.attempt
    if known is None or not known.live:
        return None
    return resumption(known)


def resumption(known: AttemptRecord) -> Attempt:
    """An attempt of an earlier run, gone on with."""
    return Attempt(
        known.id,
        known.state,
        known.intent_key,
        known.interaction_id or "",
        known.submitted_at or known.intent_at,
        known.evidence or "",
        known.agent,
        None if known.raw is None else known.answer() or Interaction({}),
        resumed=True,
        kind=(known.model, known.exchange),
        reply=known.reply or b"",
    )
