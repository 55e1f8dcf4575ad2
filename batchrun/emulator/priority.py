"""The priority tier has a limit of its own, 0.3 times the model's; what is over it is served and billed as standard."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from batchrun.emulator.rules.request import Order

_WINDOW = 60.0
_SHARE = 0.3


class PriorityLane:
    """Counts what was served with priority in the last minute, by model."""

    def __init__(self) -> None:
        self._served: dict[str, deque[float]] = {}

    def served(self, order: Order, rpm: int | None, now: float) -> Order:
        """The order as it is served: unchanged, or with the standard tier where the lane is full."""
        if order.tier != "priority" or rpm is None:
            return order
        served = self._served.setdefault(order.model or order.agent or "", deque())
        while served and served[0] <= now - _WINDOW:
            served.popleft()
        if len(served) >= max(int(rpm * _SHARE), 1):
            return replace(order, body={**order.body, "service_tier": "standard"})
        served.append(now)
        return order
