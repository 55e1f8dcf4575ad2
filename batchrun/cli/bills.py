"""What interactions used and cost, in a line for people."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from batchrun.interactions.usage import Usage, count
from batchrun.plurals import counted

if TYPE_CHECKING:
    from batchrun.prices.bill import Cost

_KINDS = ("input", "output", "thought", "cached", "tool_use")


def used_line(used: Sequence[Usage]) -> str:
    """The tokens of these usage objects, kind by kind."""
    sums = {kind: sum(count(usage, f"total_{kind}_tokens") or 0 for usage in used) for kind in _KINDS}
    told = [f"{kind.replace('_', ' ')} {tokens:,}" for kind, tokens in sums.items() if tokens]
    return f"{counted(len(used), 'interaction')}, tokens: {', '.join(told) or 'not told'}"


def cost_line(costs: Sequence[Cost | None], *, emulated: bool) -> str:
    """The sum of these costs, what it is made of, and what is not in it. None stands for a cost that is not known."""
    lacking, total = not_priced(costs), total_cost(costs)
    parts = _parts([cost for cost in costs if cost is not None])
    amount = "unknown" if total is None else f"{'at least ' if lacking else ''}${total:.6f}{parts}"
    unpriced = f" (not priced: {', '.join(lacking)})" if lacking else ""
    hearsay = sorted({name for cost in costs if cost is not None for name in cost.unconfirmed})
    doubtful = f" ({', '.join(hearsay)} at a price that only a third party lists)" if hearsay else ""
    return f"{'would cost' if emulated else 'cost'}: {amount}{unpriced}{doubtful}"


def total_cost(costs: Sequence[Cost | None]) -> Decimal | None:
    """The sum in US dollars of those that are known; None if none is, though there is something to pay."""
    known = [cost.total for cost in costs if cost is not None]
    return sum(known, start=Decimal(0)) if known or not costs else None


def not_priced(costs: Sequence[Cost | None]) -> list[str]:
    """What is not in the sum, which is then a lower bound."""
    lacking = sorted({name for cost in costs if cost is not None for name in cost.unpriced})
    unknown = costs.count(None)
    return [*lacking, *([f"{counted(unknown, 'interaction')} without a known price or usage"] if unknown else [])]


def _parts(costs: Sequence[Cost]) -> str:
    names = sorted({name for cost in costs for name in cost.parts})
    sums = {name: sum((cost.parts.get(name, Decimal(0)) for cost in costs), start=Decimal(0)) for name in names}
    told = [f"{name.replace('_', ' ')} ${dollars:.6f}" for name, dollars in sums.items() if dollars]
    return f" ({', '.join(told)})" if told else ""
