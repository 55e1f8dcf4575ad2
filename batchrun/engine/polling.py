"""What one poll says about an interaction, and how long it is waited for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from batchrun.interactions.evidence import INTENT_LABEL, Answer, Call, Lost, Reply, server_delay
from batchrun.interactions.models import ApiError, Interaction
from batchrun.spec.model import JobSpec

#: A new interaction may answer 404 for a while (seen with agents); after this it counts as lost.
NOT_FOUND_GRACE = 600.0
#: What has just been found late is given up only if it still runs after this.
LATE_GRACE = 60.0
#: Usage may follow a finished answer by seconds; after this it counts as missing.
USAGE_GRACE = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """The service says it is still at work (or something newer than we know)."""

    status: str

    def __str__(self) -> str:
        return f"status {self.status}"


@dataclass(frozen=True, slots=True)
class _Message:
    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class NotFound(_Message):
    """The service does not know the id, or (`forbidden`) does not show it to this key."""

    forbidden: bool = False


class Denied(_Message):
    """The key is not accepted."""


@dataclass(frozen=True, slots=True)
class NoAnswer(_Message):
    """The poll itself failed; `retry_after` is the server's own delay in seconds, if it named one.

    `answered` is true if the service did answer, with something that is not this interaction: `raw`.
    """

    retry_after: float | None = None
    answered: bool = False
    raw: bytes | None = None


@dataclass(frozen=True, slots=True)
class Foreign(_Message):
    """The service shows under this id an interaction that bears another POST's label: `raw`."""

    raw: bytes = b""


Poll = Answer | Running | NotFound | Denied | NoAnswer | Foreign


class Verdict(Enum):
    """What a poll that brought no answer means for the row."""

    WAIT = auto()
    LATE = auto()
    LOST = auto()
    EXPIRED = auto()
    DENIED = auto()
    UNREACHABLE = auto()
    UNUSABLE = auto()
    FOREIGN = auto()


class Patience:
    """How long one interaction is waited for. Times are Unix seconds.

    `silent_since` is when polls stopped being answered, infinity while they are.
    """

    def __init__(self, spec: JobSpec, started: float, submitted: float) -> None:
        self._deadline = max(started, submitted + spec.poll.deadline)
        self._expires = submitted + spec.poll.retention
        self._tries = spec.retry.calls
        self._failures = 0
        self.silent_since = float("inf")
        self._missing_since: float | None = None
        self._complete_since: float | None = None
        self._late_since: float | None = None

    @property
    def doubtful(self) -> bool:
        """Whether something is wrong, which takes more polls to be sure of: it is late, unknown, or says nothing."""
        return bool(self._failures or self._missing_since or self._complete_since or self._late_since)

    def judge(self, poll: Poll, now: float) -> Answer | Verdict:
        """The answer, if this is it, or what its absence means."""
        if isinstance(poll, NoAnswer):
            return self._of_silence(poll, now)
        self._failures, self.silent_since = 0, float("inf")
        if not isinstance(poll, NotFound):
            self._missing_since = None
        match poll:
            case Answer(_, interaction):
                return self._of_answer(poll, interaction, now)
            case Denied():
                return Verdict.DENIED
            case Foreign():
                return Verdict.FOREIGN
            case NotFound(forbidden=False) if now >= self._expires:
                return Verdict.EXPIRED
            case NotFound():
                self._missing_since = self._missing_since or now
                return Verdict.LOST if now >= self._missing_since + NOT_FOUND_GRACE else Verdict.WAIT
            case Running() if now >= self._deadline:
                return self._of_lateness(now)
        return Verdict.WAIT

    def _of_silence(self, poll: NoAnswer, now: float) -> Verdict:
        """Only a series of failures past the deadline ends the wait; an answer that cannot be used is about the row."""
        self._failures += 1
        self.silent_since = min(self.silent_since, now)
        if now < self._deadline or self._failures < self._tries:
            return Verdict.WAIT
        return Verdict.UNUSABLE if poll.answered else Verdict.UNREACHABLE

    def _of_lateness(self, now: float) -> Verdict:
        """Past the deadline it has a little longer: the machine may have slept, or the clock jumped."""
        self._late_since = self._late_since or now
        return Verdict.LATE if now >= self._late_since + LATE_GRACE else Verdict.WAIT

    def _of_answer(self, answer: Answer, interaction: Interaction, now: float) -> Answer | Verdict:
        self._complete_since = self._complete_since or now
        late_usage = interaction.status == "completed" and interaction.usage is None
        return Verdict.WAIT if late_usage and now < self._complete_since + USAGE_GRACE else answer


def of_poll(call: Call, interaction_id: str, now: float, intent_key: str = "") -> Poll:
    """What a GET says. `now` is Unix time, for Retry-After dates.

    The label `intent_key`, where the service shows it, tells whose an interaction is, and an id does not.
    """
    if not isinstance(call, Reply):
        return NoAnswer(call.reason, answered=isinstance(call, Lost) and call.answered)
    if not call.ok:
        return _of_error(call, now)
    interaction = Interaction.parse(call.body)
    if interaction is None:
        return NoAnswer("the answer is not an interaction", answered=True, raw=call.body)
    label = interaction.label(INTENT_LABEL)
    if intent_key and label is not None and label != intent_key:
        return Foreign(f"it bears the label {label!r}, not {intent_key!r}", call.body)
    if interaction.id != interaction_id and (label is None or not intent_key):
        return NoAnswer(f"the answer names another interaction ({interaction.id})", answered=True, raw=call.body)
    if interaction.stopped:
        return Answer(call.body, interaction)
    return Running(interaction.status or "without a status")


def _of_error(reply: Reply, now: float) -> Poll:
    error = ApiError.parse(reply.body)
    message = f"HTTP {reply.status}" + (f" {error.code}: {error.message}" if error else "")
    if reply.status == 401 or (error is not None and error.about_key):
        return Denied(message)
    if reply.status in (403, 404) and error is not None:
        return NotFound(message, reply.status == 403)
    return NoAnswer(message, server_delay(reply, error, now))
