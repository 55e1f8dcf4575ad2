"""What the engine needs to know of a job and of the attempt a row is busy with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchrun.engine.budget import Budget
from batchrun.engine.conversation import Ask, Check, Exchange, Script
from batchrun.engine.limits import Lease
from batchrun.engine.media import Media
from batchrun.engine.request import Draft, Request
from batchrun.interactions.models import Interaction
from batchrun.spec.model import JobSpec
from batchrun.store.records import AttemptRecord, AttemptState, RowRecord
from batchrun.tools import Toolbox


@dataclass(frozen=True, slots=True)
class Work:
    """A job as the engine sees it.

    `next_request` makes a row's request after the exchanges so far; it raises RowError; `media` reads the files of a
    Draft. `check_for` gives what judges a row's answer, None where any will do; `toolbox` holds the user's functions.
    `answers` is the directory for answers' files; `waits` is true where POSTs bring their answer. `rows` is how many
    the checkpoint holds, `resubmits` how many ambiguous POSTs were sent again so far. `resumed` is true where an
    earlier process has begun the run, `refused` where POSTs of it were refused, or could not be sent. `budget` is None
    where nothing limits what the run may cost.
    """

    spec: JobSpec
    run_id: str
    next_request: Callable[[RowRecord, Sequence[Exchange], Ask], Request | Draft]
    media: Media
    check_for: Callable[[RowRecord], Check | None]
    script_for: Callable[[RowRecord], Script]
    answers: Path
    waits: bool
    rows: int
    resubmits: int
    resumed: bool = False
    refused: bool = False
    toolbox: Toolbox | None = None
    budget: Budget | None = None


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
