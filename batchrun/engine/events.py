"""What the engine tells whoever watches: one frozen value an event, given to a callable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchrun.rows import Outcome

if TYPE_CHECKING:
    from batchrun.interactions.usage import Usage
    from batchrun.outputs.summary import Summary


@dataclass(frozen=True, slots=True)
class Ended:
    """The last word of a run: how it stands, the files written. `stopped` is what ended it early, if anything did."""

    summary: Summary
    exit_code: int
    stopped: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The engine sets out to carry this many rows; so many of them are in flight from an earlier run.

    In a job of stages `more` may follow from them. `earlier` processes have carried this run before. `standing` has all
    rows by stage as `tally.stage_tallies` counts.
    """

    rows: int
    in_flight: int
    more: bool = False
    run_id: str = ""
    target: str = ""
    earlier: int = 0
    standing: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listening:
    """The run hears webhooks at this address of this machine."""

    address: str


@dataclass(frozen=True, slots=True)
class WebhooksCame:
    """What has come there: events, those that came again, and what was refused. Told at the first that is refused, and
    at the end."""

    events: int
    repeated: int
    refused: int


@dataclass(frozen=True, slots=True)
class Expiring:
    """The service will not keep for much longer what is in flight; `warning` is for people. Told at the beginning, and
    once for each share of the retention that is passed while the run goes on."""

    warning: str


@dataclass(frozen=True, slots=True)
class Posted:
    """One POST was made; `result` is submitted, refused, not_sent, ambiguous, or fetched for one that waits.

    `attempt` is its number within the row, `seconds` how long it took, `said` why it was not accepted.
    """

    key: str
    result: str
    stage: str = ""
    interaction_id: str | None = None
    attempt: int = 0
    seconds: float = 0.0
    said: str | None = None


@dataclass(frozen=True, slots=True)
class Salvaged:
    """The interaction of a POST of unknown fate was found: it is in flight."""

    key: str
    interaction_id: str
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Polled:
    """One poll was made."""

    key: str
    stage: str = ""
    interaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class PollFailed:
    """A poll brought nothing that can be used; it is made again."""

    key: str
    reason: str
    stage: str = ""
    interaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class Landed:
    """An interaction is in flight no more; `tokens` is its total, None if the service did not say or lost it.

    `seconds` have passed since its submission, `usage` is the API's object, empty where there is none.
    """

    key: str
    tokens: int | None
    stage: str = ""
    interaction_id: str | None = None
    seconds: float = 0.0
    polls: int = 0
    usage: Usage = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Called:
    """One of the user's functions was run for the model. `result` is what the model is told: any JSON value."""

    key: str
    name: str
    result: Any
    is_error: bool
    stage: str = ""


@dataclass(frozen=True, slots=True)
class RowEnded:
    """A row got its outcome."""

    key: str
    outcome: Outcome
    kind: str | None
    message: str | None
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Paused:
    """The service asked for a pause of this many seconds; nothing is sent meanwhile."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Steered:
    """Somebody said something to the run, and this came of it, in words for people.

    `paused` tells whether it is paused now, `leaving` whether it was told to end early; `limits` are those that were
    set, by their names in the job file.
    """

    text: str
    paused: bool = False
    limits: Mapping[str, float | None] = field(default_factory=dict)
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class UploadFailed:
    """A file could not be uploaded, or looked at; that is tried again after this many seconds."""

    file: str
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class AlertFailed:
    """Somebody could not be told of an alert; if it still stands, that is tried again with the next look."""

    reason: str


@dataclass(frozen=True, slots=True)
class Telling:
    """The run's work is done; the targets of its alerts are told, which may take a while if one does not answer."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The run stops; open POSTs are awaited."""

    reason: str


Event = (
    Started
    | Listening
    | WebhooksCame
    | Expiring
    | Posted
    | Salvaged
    | Polled
    | PollFailed
    | Landed
    | Called
    | RowEnded
    | Paused
    | Steered
    | UploadFailed
    | AlertFailed
    | Telling
    | Stopping
    | Ended
)
Observer = Callable[[Event], None]


def to_all(*observers: Observer) -> Observer:
    """An observer that tells several, in this order."""

    def tell(event: Event) -> None:
        for observe in observers:
            observe(event)

    return tell


def ignore(_event: Event) -> None:
    """The observer that does not look."""
