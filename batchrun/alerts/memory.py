"""What was told to whom, so that it is told once, over ticks, restarts and crashes. Pure but for its file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from batchrun.alerts.rules import Alert


@dataclass(frozen=True, slots=True)
class News:
    """Something to tell a target: an alert that has begun at this time (Unix seconds), or has ended."""

    alert: Alert
    began: float
    ended: bool = False

    @property
    def state(self) -> str:
        return "ended" if self.ended else "begun"


@dataclass(slots=True)
class Memory:
    """`told` has, by target, the rules whose alerts it knows of, and since when. `waiting` is since when rows have been
    pending, as far as anybody looked; None while none are."""

    told: dict[str, dict[str, float]] = field(default_factory=dict)
    waiting: float | None = None

    def news(self, target: str, alerts: Iterable[Alert], now: float) -> Iterator[News]:
        """What a target has not been told yet."""
        known, current = self.told.get(target, {}), {alert.rule: alert for alert in alerts}
        for rule, alert in current.items():
            if rule not in known:
                yield News(alert, now)
        for rule, began in known.items():
            if rule not in current:
                yield News(Alert(rule, "it is over"), began, ended=True)

    def heard(self, target: str, news: News) -> None:
        """A target has been told."""
        known = self.told.setdefault(target, {})
        if news.ended:
            known.pop(news.alert.rule, None)
        else:
            known[news.alert.rule] = news.began

    def look(self, pending: int, now: float) -> float:
        """Somebody looks: since when rows have been waiting."""
        self.waiting = None if not pending else now if self.waiting is None else self.waiting
        return now if self.waiting is None else self.waiting

    def written(self) -> bytes:
        return json.dumps({"told": self.told, "waiting": self.waiting}, indent=1).encode() + b"\n"


def memory_of(content: bytes) -> Memory:
    """What was written, nothing where that cannot be read: then something may be told twice."""
    try:
        known: Any = json.loads(content)
        told = {str(t): {str(r): float(at) for r, at in rules.items()} for t, rules in known["told"].items()}
        return Memory(told, None if known["waiting"] is None else float(known["waiting"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Memory()
