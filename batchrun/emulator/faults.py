"""Every fault the emulator can make, in one table, and the rules that say when.

A fault acts in one of four places: `answer` replaces the answer before anything exists, `line` breaks the connection,
`created` spoils the answer to a create that worked, `outcome` shapes the interaction that later polls show.
Draws are hashes of (seed, rule, request body, number of that body's arrival): the same run meets the same faults.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from batchrun.emulator.draws import uniform
from batchrun.emulator.latency import parse_seconds

Place = Literal["answer", "line", "created", "outcome"]
Target = Literal["post", "get", "cancel", "delete"]
#: A request carries its own fault in this label, whatever the plan says: `stuck`, or with its duration `slow-2s`.
FAULT_LABEL = "emulate-fault"


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault. `seconds` is the default of its parameter, None where it takes none."""

    place: Place
    about: str
    seconds: float | None = None
    on: Target = "post"


FAULTS: Mapping[str, Fault] = {
    "429": Fault("answer", "rate limit, classic envelope with QuotaFailure, no delay told"),
    "429_retry_info": Fault("answer", "rate limit with a RetryInfo delay of n seconds", 5.0),
    "429_retry_after": Fault("answer", "rate limit with a Retry-After header of n seconds, new envelope", 5.0),
    "429_new": Fault("answer", "rate limit, new envelope, no delay told"),
    "429_daily": Fault("answer", "quota of the day used up; every POST is refused until midnight Pacific"),
    "429_daily_new": Fault("answer", "the same in the new envelope (quota_exceeded)"),
    "429_spend_rate": Fault("answer", "spend-based rate limit, which looks back over ten minutes; no delay told"),
    "429_spend_cap": Fault("answer", "the project's spend cap of the month is reached"),
    "500": Fault("answer", "internal error; nothing was created"),
    "502_html": Fault("answer", "an HTML page of a load balancer instead of JSON"),
    "503": Fault("answer", "overloaded, classic envelope with status UNAVAILABLE"),
    "504": Fault("answer", "deadline exceeded; nothing was created"),
    "array_envelope": Fault("answer", "503 whose envelope is wrapped in a JSON array"),
    "bad_key": Fault("answer", "this call's API key is not valid (400 API_KEY_INVALID in an array)"),
    "key_revoked": Fault("answer", "from this call on the API key is refused, for every call (403)"),
    "key_denied": Fault("answer", "the same, but the 403 does not say that it is about the key"),
    "model_denied": Fault("answer", "the project may not use this model (403)"),
    "402": Fault("answer", "prepaid credits are used up"),
    "refused_connection": Fault("line", "connection refused; over a socket, reset with nothing created"),
    "reset_before": Fault("line", "connection reset and nothing was created"),
    "drop_before": Fault("line", "connection dropped (EOF) and nothing was created"),
    "truncate_before": Fault("line", "nothing was created, and the connection breaks in the middle of saying so"),
    "reset_during": Fault("created", "created and billed, the connection is reset n seconds later; it goes on", 1.0),
    "drop_during": Fault("created", "created and billed, the connection drops n seconds later; it goes on", 1.0),
    "reset_after": Fault("created", "created and billed, then the connection is reset without an answer"),
    "drop_after": Fault("created", "created and billed, then the connection drops (EOF) without an answer"),
    "truncate": Fault("created", "created and billed, the connection breaks in the middle of the answer"),
    "truncate_head": Fault("created", "created and billed, the connection breaks before the answer's body"),
    "truncated_200": Fault("created", "created and billed, a complete 200 with only half of the JSON"),
    "truncated_id_200": Fault("created", "created and billed, a complete 200 that ends in the midst of the id"),
    "garbage_200": Fault("created", "created and billed, a 200 that is not JSON"),
    "no_id_200": Fault("created", "created and billed, a 200 whose interaction has no id"),
    "bad_id_200": Fault("created", "created and billed, a 200 whose id is no id (../etc)"),
    "500_created": Fault("created", "created and billed, but answered with 500"),
    "504_created": Fault("created", "created and billed, but answered with 504"),
    "slow": Fault("created", "the answer comes n seconds late", 30.0),
    "slow_loris": Fault("created", "the answer's bytes dribble in over n seconds", 30.0),
    "giant_body": Fault("created", "an answer of 256 MiB, most of it white space"),
    "gzip_bomb": Fault("created", "an answer of a megabyte of gzip that unpacks to a gibibyte"),
    "sse_cut": Fault("created", "a stream ends at the time limit of n seconds with a raw JSON array (503)", 600.0),
    "sse_truncated": Fault("created", "a stream just ends, without its last events"),
    "404_after_create": Fault("outcome", "polls find nothing for n seconds after the create (inf: for ever)", 30.0),
    "403_after_create": Fault("outcome", "polls are forbidden for n seconds after the create (inf: for ever)", 30.0),
    "expired": Fault("outcome", "gone n seconds after the create: the retention has ended", 86_400.0),
    "wrong_id": Fault("outcome", "polls show another id than the create answered"),
    "wrong_label": Fault("outcome", "polls show the labels of another request"),
    "stuck": Fault("outcome", "in progress for ever"),
    "queued": Fault("outcome", "n seconds in the queue before anything happens", 60.0),
    "unknown_status": Fault("outcome", "ends in a status that nobody knows"),
    "failed": Fault("outcome", "fails with an entry in errors"),
    "failed_no_errors": Fault("outcome", "fails and does not say why"),
    "incomplete": Fault("outcome", "stops early with half of its text"),
    "cancelled": Fault("outcome", "is cancelled by the server"),
    "budget_exceeded": Fault("outcome", "ends with the deprecated status budget_exceeded"),
    "no_steps": Fault("outcome", "completed without any step"),
    "no_usage": Fault("outcome", "completed without usage"),
    "late_usage": Fault("outcome", "completed, but its usage is there only n seconds later", 30.0),
    "invalid_json": Fault("outcome", "a structured answer that is not JSON"),
    "schema_violation": Fault("outcome", "a structured answer whose values have the wrong types"),
    "lone_surrogate": Fault("outcome", "the answer's text holds an unpaired \\ud800"),
    "deep_json": Fault("outcome", "the answer's text is JSON nested 100,000 deep"),
    "deep_answer": Fault("outcome", "the interaction itself holds JSON nested 100,000 deep"),
    "499_on_cancel": Fault("answer", "the cancel works but is answered with 499 CANCELLED", on="cancel"),
}
ALIASES: Mapping[str, str] = {"lost_answer": "drop_after", "refused": "refused_connection"}


@dataclass(frozen=True, slots=True)
class Rule:
    """When a fault happens; every condition that is given must hold.

    `rate`: share of calls, drawn by request. `nth`: these calls of their kind, counted from 1. `times`: the first so
    many tries of one and the same request. `labels`: label values of the request. `match`: a part of the prompt.
    `seconds`: the fault's parameter.
    """

    kind: str
    on: Target = "post"
    rate: float | None = None
    nth: frozenset[int] | None = None
    times: int | None = None
    labels: Mapping[str, str] | None = None
    match: str | None = None
    seconds: float | None = None

    @property
    def delay(self) -> float:
        """The parameter in seconds: the rule's own or the fault's default."""
        default = FAULTS[self.kind].seconds
        return self.seconds if self.seconds is not None else default or 0.0


def fault_named(label: object) -> Rule | None:
    """The fault that a label of a request means; None if it means none."""
    if not isinstance(label, str):
        return None
    name, dash, duration = label.partition("-")
    kind = ALIASES.get(name, name)
    if kind not in FAULTS or (dash and FAULTS[kind].seconds is None):
        return None
    seconds = math.inf if duration == "inf" else parse_seconds(duration)
    return None if dash and seconds is None else Rule(kind, on=FAULTS[kind].on, seconds=seconds)


@dataclass(frozen=True, slots=True)
class Arrival:
    """What rules look at. `number` counts calls of this kind, `occurrence` arrivals of this very request."""

    on: Target
    number: int
    identity: bytes
    occurrence: int
    labels: Mapping[str, str]
    text: str


class Faults:
    """The rules of one emulator, in the order in which they are asked; the first that applies acts alone."""

    def __init__(self, rules: tuple[Rule, ...], seed: int) -> None:
        self._rules = rules
        self._seed = seed
        self._targets = {rule.on for rule in rules}

    def watches(self, on: Target) -> bool:
        """Whether any rule is about this kind of call; if not, `find` need not be asked."""
        return on in self._targets

    def find(self, arrival: Arrival) -> Rule | None:
        own = fault_named(arrival.labels.get(FAULT_LABEL))
        if own is not None and own.on == arrival.on:
            return own
        if arrival.on not in self._targets:
            return None
        numbered = enumerate(self._rules)
        return next((rule for index, rule in numbered if self._applies(index, rule, arrival)), None)

    def _applies(self, index: int, rule: Rule, arrival: Arrival) -> bool:
        return (
            rule.on == arrival.on
            and (rule.nth is None or arrival.number in rule.nth)
            and (rule.times is None or arrival.occurrence <= rule.times)
            and all(arrival.labels.get(key) == value for key, value in (rule.labels or {}).items())
            and (rule.match is None or rule.match in arrival.text)
            and (rule.rate is None or self._chance(index, arrival) < rule.rate)
        )

    def _chance(self, index: int, arrival: Arrival) -> float:
        return uniform("fault", self._seed, index, arrival.on, arrival.identity, arrival.occurrence)
