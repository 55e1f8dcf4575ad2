"""Faults that answer in the place of the service, and those that last: a revoked key, a used-up day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from batchrun.emulator.answers import Answer, Line
from batchrun.emulator.days import next_midnight
from batchrun.emulator.envelopes import (
    Quota,
    Refusal,
    bad_key,
    classic,
    error_info,
    in_array,
    refuse,
)
from batchrun.emulator.faults import FAULTS, Rule
from batchrun.emulator.quota import too_many

_HTML = b"<!DOCTYPE html>\n<html lang=en><title>Error 502 (Server Error)!!1</title><p>Emulated bad gateway.</html>\n"
#: What emulated quota messages say the limits are.
_PER_MINUTE, _PER_DAY = 150, 10_000


class Outages:
    """What lasts beyond one call."""

    def __init__(self) -> None:
        self._refused: Callable[[], Refusal] | None = None
        self._day_over_until = 0.0
        self._day_over = _daily

    def check(self, now: float, *, post: bool) -> None:
        """Raise what every call (a revoked key) or every POST (a used-up day) gets at `now`."""
        if self._refused is not None:
            raise self._refused()
        if post and now < self._day_over_until:
            raise self._day_over()

    def begin(self, rule: Rule, now: float) -> None:
        """Let a fault that lasts begin; others pass."""
        if rule.kind in ("key_revoked", "key_denied"):
            self._refused = _revoked if rule.kind == "key_revoked" else _denied
        elif rule.kind in ("429_daily", "429_daily_new"):
            self._day_over_until = next_midnight(now)
            self._day_over = _daily if rule.kind == "429_daily" else _daily_new


def raise_refusal(rule: Rule | None) -> None:
    """Raise the refusal that the rule stands for, if it acts before anything exists."""
    if rule is None or FAULTS[rule.kind].place not in ("answer", "line"):
        return
    if make := _REFUSALS.get(rule.kind):
        raise make(rule)


def _revoked() -> Refusal:
    return classic(403, "Your API key was revoked. (emulated)", [error_info("API_KEY_SERVICE_BLOCKED")])


def _denied() -> Refusal:
    return refuse("permission_denied", "The caller does not have permission. (emulated)")


def _daily() -> Refusal:
    return too_many(Quota.DAILY_REQUESTS, _PER_DAY, "any", None)


def _daily_new() -> Refusal:
    return refuse("quota_exceeded", f"Daily quota of {_PER_DAY} requests exceeded. (emulated)")


def _cut_short(refusal: Refusal) -> Refusal:
    return Refusal(replace(refusal.answer, line=Line.CUT))


def _retry_after(rule: Rule) -> Refusal:
    refusal = refuse("rate_limit_exceeded", "Too many requests. (emulated)")
    seconds = str(max(1, round(rule.delay))).encode()
    return Refusal(replace(refusal.answer, headers=((b"retry-after", seconds),)))


def _line(line: Line) -> Callable[[Rule], Refusal]:
    return lambda rule: Refusal(Answer(0, b"", line=line))


_REFUSALS: Mapping[str, Callable[[Rule], Refusal]] = {
    "429": lambda rule: too_many(Quota.REQUESTS, _PER_MINUTE, "any", None),
    "429_retry_info": lambda rule: too_many(Quota.REQUESTS, _PER_MINUTE, "any", rule.delay),
    "429_retry_after": _retry_after,
    "429_new": lambda rule: refuse("rate_limit_exceeded", "Rate limit exceeded. (emulated)"),
    "429_daily": lambda rule: _daily(),
    "429_daily_new": lambda rule: _daily_new(),
    "402": lambda rule: refuse("payment_required", "Your prepayment credits are depleted. (emulated)"),
    "500": lambda rule: classic(500, "Internal error encountered. (emulated)"),
    "502_html": lambda rule: Refusal(Answer(502, _HTML, content_type=b"text/html; charset=UTF-8")),
    "503": lambda rule: classic(503, "The model is overloaded. Please try again later. (emulated)"),
    "504": lambda rule: classic(504, "Deadline expired before operation could complete. (emulated)"),
    "array_envelope": lambda rule: in_array(503, "The service is currently unavailable. (emulated)"),
    "bad_key": lambda rule: bad_key(),
    "key_revoked": lambda rule: _revoked(),
    "key_denied": lambda rule: _denied(),
    "model_denied": lambda rule: _denied(),
    "429_spend_rate": lambda rule: classic(429, "You exceeded the spend-based rate limit of your tier. (emulated)"),
    "429_spend_cap": lambda rule: classic(429, "Your project has reached its monthly spend cap. (emulated)"),
    "refused_connection": _line(Line.REFUSED),
    "reset_before": _line(Line.RESET),
    "drop_before": _line(Line.DROPPED),
    "truncate_before": lambda rule: _cut_short(classic(503, "The model is overloaded. (emulated)")),
}
