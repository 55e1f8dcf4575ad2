"""What single attempts of a run cost, by a table of prices."""

from __future__ import annotations

from datetime import UTC, date, datetime

from batchrun.interactions.models import Interaction
from batchrun.interactions.usage import Usage
from batchrun.prices.bill import Cost
from batchrun.prices.table import Prices
from batchrun.store.records import AttemptRecord


def cost_of(attempt: AttemptRecord, prices: Prices) -> Cost | None:
    """What an interaction costs; None if it cannot be priced. What is priced by piece needs `attempt.raw`."""
    answer = attempt.answer() or Interaction({})
    return cost_of_answer(answer, attempt.model, attempt.service_tier, attempt.usage, attempt.intent_at, prices)


def cost_of_answer(
    answer: Interaction, model: str | None, tier: str | None, usage: Usage | None, at: float, prices: Prices
) -> Cost | None:
    """What an interaction costs that was sent `at` (Unix seconds); None if it cannot be priced."""
    lists = [held for _, step in answer.own_steps if isinstance(held := step.get("content"), list)]
    blocks = [block for held in lists for block in held if isinstance(block, dict)]
    made = {kind: sum(block.get("type") == kind for block in blocks) for kind in ("image", "audio")}
    return prices.cost_of(model or "", tier, usage, day_of(at), made)


def day_of(at: float) -> date:
    """The day of a Unix time, as prices know it."""
    return datetime.fromtimestamp(at, UTC).date()
