"""What the store tells its readers: one record per row and one per attempt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from batchrun.interactions.models import Interaction


class AttemptState(StrEnum):
    """Where one attempt (one intended, possibly billed interaction) stands.

    INTENT -> NOT_SENT | REFUSED | AMBIGUOUS | SUBMITTED, and SUBMITTED -> FETCHED | LOST | TIMED_OUT.
    NOT_SENT and REFUSED cost nothing. FETCHED holds the raw answer.
    """

    INTENT = "intent"
    NOT_SENT = "not_sent"
    REFUSED = "refused"
    AMBIGUOUS = "ambiguous"
    SUBMITTED = "submitted"
    FETCHED = "fetched"
    LOST = "lost"
    TIMED_OUT = "timed_out"


#: The states of POSTs that are proved to have cost nothing.
FREE = (AttemptState.NOT_SENT, AttemptState.REFUSED)


@dataclass(frozen=True, slots=True)
class Intent:
    """A POST about to be made for the row `key`, of the input with the hash `input_sha`. `files` are JSON objects about
    the files in it, `tokens` what it is estimated to read, `charge` what it may cost at most, in billionths of a
    dollar, where the job has such a limit.
    """

    row_id: int
    key: str
    number: int
    intent_key: str
    request_sha: str
    model: str | None
    agent: bool = False
    exchange: int = 0
    turn: int = 0
    files: tuple[dict[str, Any], ...] = ()
    charge: int | None = None
    input_sha: str = ""
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt. Times are Unix seconds (UTC); `raw` is the answer's bytes as received, `usage` its usage object.

    `exchange` is the number of the interaction in its row's conversation, `turn` that of the user's turn it belongs to.
    `superseded_at` is set when a later attempt of the same row replaced this one, `purged_at` when its interaction was
    deleted at the service. `model` is the id of an agent if `agent` is true. `files` tells what file, and which of its
    pages, went into which block of the request. `billed` is True when an interaction id is known, False when it is
    proved that nothing was billed, None when nobody can tell. `reply` is what came of the answer to a POST of unknown
    fate, its beginning at most.
    """

    id: int
    row_id: int
    key: str
    number: int
    stage: str
    exchange: int
    turn: int
    state: AttemptState
    evidence: str | None
    intent_key: str
    request_sha: str
    model: str | None
    agent: bool
    interaction_id: str | None
    interaction_status: str | None
    service_tier: str | None
    posts: int
    polls: int
    http_status: int | None
    error_class: str | None
    error_message: str | None
    intent_at: float
    submitted_at: float | None
    fetched_at: float | None
    superseded_at: float | None
    purged_at: float | None
    usage: dict[str, Any] | None
    files: tuple[dict[str, Any], ...]
    raw: bytes | None
    reply: bytes | None = None

    @property
    def billed(self) -> bool | None:
        if self.interaction_id is not None:
            return True
        return False if self.state in FREE else None

    def answer(self) -> Interaction | None:
        """The answer in `raw`, read anew, under the id we know it by; None where there is none that can be read."""
        found = None if self.raw is None else Interaction.parse(self.raw)
        return None if found is None else found.named(self.interaction_id or "")

    @property
    def live(self) -> bool:
        """True if it is one of its row's conversation: neither replaced nor refused."""
        return self.superseded_at is None and self.state not in FREE


@dataclass(frozen=True, slots=True)
class ToolCallRecord:
    """One run of a function for an answer that calls it. Without `ended_at` nobody knows how far it came, unless the
    user has `released` it to be run again. `result` is that of a `function_result` step."""

    position: int
    call_id: str
    name: str
    ended_at: float | None
    result: Any
    is_error: bool
    released: bool = False

    @property
    def step(self) -> dict[str, Any]:
        """The `function_result` step that answers the call."""
        step = {"type": "function_result", "call_id": self.call_id, "name": self.name, "result": self.result}
        return {**step, "is_error": True} if self.is_error else step


@dataclass(frozen=True, slots=True)
class RowRecord:
    """One row with its last attempt. `outcome` is None while the row is pending; `attempts` counts all of them.

    `strikes` counts the answers that were thrown away for a new attempt since the user last reopened the row.
    `earlier` are the answered attempts at the exchanges before `attempt`'s, in their order: a row's conversation is
    `earlier` and then `attempt`. Only `Reader.row` and `rows` read it. `output` is what other stages are made of, as
    JSON, None in a job without stages.
    """

    id: int
    position: int
    key: str
    source: str
    input_sha: str
    data: dict[str, Any] | None
    outcome: str | None
    error_class: str | None
    error_message: str | None
    finished_at: float | None
    stage: str
    attempts: int
    attempt: AttemptRecord | None
    strikes: int = 0
    earlier: tuple[AttemptRecord, ...] = ()
    output: str | None = None

    @property
    def standing(self) -> AttemptRecord | None:
        """The last attempt, unless it was replaced and nothing has taken its place: what it brought is no result."""
        return None if self.attempt is None or self.attempt.superseded_at is not None else self.attempt

    @property
    def exchanges(self) -> int:
        """The interactions in the row's conversation: attempts that were replaced or refused are none of them."""
        return len(self.earlier) + (self.attempt is not None and self.attempt.live)
