"""Which alerts a run gives cause for: a pure function of where it stands. Times are Unix seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from batchrun.plurals import duration
from batchrun.spec.alerting import AlertsSpec
from batchrun.spec.model import JobSpec

#: So many times as long as nearly all answers took is long; and so many answers have to be known.
_FACTOR, _FEWEST = 3.0, 8


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands. `outcomes` counts rows, `pending` those without an outcome. `since` is when the last row
    ended, or rows began to wait if that was later. `typical` is how long nearly all answers took (seconds) to requests
    such as are in flight, of which `observed` are known."""

    now: float
    outcomes: Mapping[str, int]
    pending: int
    since: float
    typical: float = 0.0
    observed: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Alert:
    """What there is to tell; `rule` is the key of the job file that asked for it."""

    rule: str
    message: str


def alerts_of(spec: JobSpec, standing: Standing) -> tuple[Alert, ...]:
    """The alerts that there are now."""
    return () if spec.alerts is None else tuple(_alerts(spec, spec.alerts, standing))


def _alerts(spec: JobSpec, rules: AlertsSpec, at: Standing) -> Iterator[Alert]:
    silence = at.now - at.since if at.pending else 0.0
    silent = f"no row has ended for {duration(silence)}"
    if rules.stuck and silence > (limit := longest_silence(spec, at)):
        took = f"nearly all answers took less than {duration(at.typical)}"
        why = took if _known(at) else "nothing is known of answers"
        yield Alert("stuck", f"{silent} (more than {duration(limit)}: {why}), {_waiting(at)}")
    if rules.no_row_in is not None and silence > rules.no_row_in:
        yield Alert("no_row_in", f"{silent}, {_waiting(at)}")
    failed, ended = _failed(at.outcomes), _ended(at.outcomes)
    if rules.failure_rate is not None and ended >= rules.failures_of and failed >= rules.failure_rate * ended:
        yield Alert("failure_rate", f"{failed:,} of {ended:,} rows that have ended failed ({failed / ended:.0%})")
    held = at.outcomes.get("ambiguous", 0)
    if rules.ambiguous is not None and held >= rules.ambiguous:
        yield Alert("ambiguous", f"{held:,} held: nobody can tell whether they were billed; see `batchrun resolve`")
    if rules.tokens is not None and at.tokens >= rules.tokens:
        yield Alert("tokens", f"{at.tokens:,} tokens are used (the job says to tell at {rules.tokens:,})")


def longest_silence(spec: JobSpec, at: Standing) -> float:
    """Seconds after which a run in which no row ends is stuck.

    It is judged from what answers took. The service may also ask for a pause, and polls may be apart: that alone is no
    cause. Until enough is known it is the time after which a row is given up.
    """
    pauses = spec.poll.ceiling + spec.retry.server_ceiling
    return max(_FACTOR * at.typical, pauses) if _known(at) else max(spec.poll.deadline, pauses)


def _known(at: Standing) -> bool:
    return at.observed >= _FEWEST


def _ended(outcomes: Mapping[str, int]) -> int:
    return sum(outcomes.values()) - sum(outcomes.get(name, 0) for name in ("pending", "skipped", "awaiting_approval"))


def _failed(outcomes: Mapping[str, int]) -> int:
    return _ended(outcomes) - outcomes.get("succeeded", 0) - outcomes.get("ambiguous", 0)


def _waiting(at: Standing) -> str:
    return f"and {at.pending:,} {'waits' if at.pending == 1 else 'wait'}"
