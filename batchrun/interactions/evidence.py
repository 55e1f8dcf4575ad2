"""What is proved about a POST: pure, from what came back (or did not). Money depends on it: doubt is Ambiguous.

A  NotSent    not one byte of the request left      may be sent again
B  Refused    a complete error envelope             nothing was billed
S  Submitted  a complete 2xx with a usable id       billed: keep the id
   Answer     a complete 2xx with the answer        billed: keep the answer
C  Ambiguous  anything else                         billed or not, nobody can tell
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from itertools import islice

from batchrun.interactions.models import ApiError, Interaction

#: The label that names the POST an interaction was made by.
INTENT_LABEL = "batchrun-intent"


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete HTTP answer. Header names are lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class NotSent:
    """The request never left this machine: no address, no connection, no TLS."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The request, or a part of it, was sent, and no complete answer came back.

    `answered` is true if the service did answer, with more than can be taken. `status` and `body` are what came of an
    answer that broke off, None and b"" where nothing did; the body's beginning only.
    """

    reason: str
    answered: bool = False
    status: int | None = None
    body: bytes = b""


Call = Reply | NotSent | Lost


def is_passing(call: Call) -> bool:
    """True if the same call may well be answered a little later."""
    if isinstance(call, Reply):
        return call.status in (408, 429) or call.status >= 500
    return not (isinstance(call, Lost) and call.answered)


@dataclass(frozen=True, slots=True)
class Submitted:
    """The service took the request and named the interaction."""

    interaction_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The service said no, in its own words. `retry_after` is its own delay in seconds, None if it named none."""

    status: int
    error: ApiError
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Nobody can tell whether the POST was billed. `reply` is the beginning of the answer, if any came."""

    reason: str
    status: int | None = None
    reply: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """The interaction has stopped; `raw` is what the server sent. The reply to a POST that waits is one too."""

    raw: bytes
    interaction: Interaction

    def __str__(self) -> str:
        return f"status {self.interaction.status}"


PostResult = NotSent | Refused | Submitted | Answer | Ambiguous

_REFUSALS = frozenset({400, 401, 402, 403, 404, 409, 413, 416, 422, 429})
_UNAVAILABLE = frozenset({"unavailable", "service_unavailable"})
#: So much of an answer to a POST of unknown fate is kept, in bytes.
_MOST_KEPT = 64 * 1024
_ID_FIELD = re.compile(rb'"id"\s*:\s*"([A-Za-z0-9_\-]{1,256})"')
_MOST_CANDIDATES = 3


def of_post(call: Call, now: float, *, waits: bool = False, intent_key: str = "") -> PostResult:
    """What a POST's answer proves. `now` is Unix time, for Retry-After dates.

    `waits` is true for a request in the foreground, whose reply may be the answer itself. A reply that bears another
    label than `intent_key` is the answer to another request: a cache or a mixed-up connection between may do that.
    """
    match call:
        case NotSent():
            return call
        case Lost(reason, _, status, body):
            return Ambiguous(reason, status, body)
        case Reply(ok=True):
            return _of_success(call, waits, intent_key)
    error = ApiError.parse(call.body)
    if error is None:
        return _in_doubt(call, "without an error of the API")
    if call.status in _REFUSALS or (call.status == 503 and error.code in _UNAVAILABLE):
        return Refused(call.status, error, server_delay(call, error, now))
    return _in_doubt(call, error.code)


def _in_doubt(reply: Reply, what: str) -> Ambiguous:
    return Ambiguous(f"HTTP {reply.status} {what}", reply.status, reply.body[:_MOST_KEPT])


def _of_success(reply: Reply, waits: bool, intent_key: str) -> PostResult:
    interaction = Interaction.parse(reply.body)
    if interaction is None:
        return _in_doubt(reply, "with a body that is not an interaction")
    if intent_key and interaction.label(INTENT_LABEL) not in (None, intent_key):
        return _in_doubt(reply, "with the answer to another request")
    if waits and interaction.stopped:
        return Answer(reply.body, interaction)
    if interaction.id is None:
        return _in_doubt(reply, "without a usable interaction id")
    return Submitted(interaction.id)


def ids_in(reply: bytes) -> list[str]:
    """What may be the id of the interaction in an answer that cannot be read: a few candidates, none of them proved."""
    found = (match[1].decode() for match in _ID_FIELD.finditer(reply))
    return list(islice(dict.fromkeys(found), _MOST_CANDIDATES))


def server_delay(reply: Reply, error: ApiError | None, now: float) -> float | None:
    """The longer of Retry-After and RetryInfo, in seconds; None if the server named neither."""
    delays = [_retry_after(reply.headers.get("retry-after"), now), error.retry_delay if error else None]
    known = [delay for delay in delays if delay is not None]
    return max(known) if known else None


def _retry_after(value: str | None, now: float) -> float | None:
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, at.replace(tzinfo=at.tzinfo or UTC).timestamp() - now)
