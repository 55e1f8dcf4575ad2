"""What single attempts of a run cost, by a table of prices."""

from __future__ import annotations

from datetime import UTC, datetime

from batchrun.interactions.models import Interaction
from batchrun.prices.bill import Cost
from batchrun.prices.table import Prices
from batchrun.store.records import AttemptRecord


def cost_of(attempt: AttemptRecord, prices: Prices) -> Cost | None:
    """What an interaction costs; None if it cannot be priced. What is priced by piece needs `attempt.raw`."""
    day = datetime.fromtimestamp(attempt.intent_at, UTC).date()
    answer = attempt.answer() or Interaction({})
    lists = [held for _, step in answer.own_steps if isinstance(held := step.get("content"), list)]
    blocks = [block for held in lists for block in held if isinstance(block, dict)]
    made = {kind: sum(block.get("type") == kind for block in blocks) for kind in ("image", "audio")}
    return prices.cost_of(attempt.model or "", attempt.service_tier, attempt.usage, day, made)
