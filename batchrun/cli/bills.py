"""What interactions used and cost, in a line for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from batchrun.cli.printing import counted

if TYPE_CHECKING:
    from batchrun.costs import Cost

_KINDS = ("input", "output", "thought", "cached", "tool_use")


def used_line(used: Sequence[Mapping[str, Any]]) -> str:
    """The tokens of these usage objects, kind by kind."""
    sums = {kind: sum(_tokens(usage, kind) for usage in used) for kind in _KINDS}
    told = [f"{kind.replace('_', ' ')} {count:,}" for kind, count in sums.items() if count]
    return f"{counted(len(used), 'interaction')}, tokens: {', '.join(told) or 'not told'}"


def cost_line(costs: Sequence[Cost | None], *, emulated: bool) -> str:
    """The sum of these costs, what it is made of, and what is not in it. None stands for a cost that is not known."""
    known = [cost for cost in costs if cost is not None]
    lacking = sorted({name for cost in known for name in cost.unpriced})
    if len(known) < len(costs):
        lacking.append(f"{counted(len(costs) - len(known), 'interaction')} without a known price or usage")
    total = sum((cost.total for cost in known), start=Decimal(0))
    amount = f"{'at least ' if lacking else ''}${total:.6f}{_parts(known)}" if known else "unknown"
    unpriced = f" (not priced: {', '.join(lacking)})" if lacking else ""
    return f"{'would cost' if emulated else 'cost'}: {amount}{unpriced}"


def _parts(costs: Sequence[Cost]) -> str:
    names = sorted({name for cost in costs for name in cost.parts})
    sums = {name: sum((cost.parts.get(name, Decimal(0)) for cost in costs), start=Decimal(0)) for name in names}
    told = [f"{name.replace('_', ' ')} ${dollars:.6f}" for name, dollars in sums.items() if dollars]
    return f" ({', '.join(told)})" if told else ""


def _tokens(usage: Mapping[str, Any], kind: str) -> int:
    count = usage.get(f"total_{kind}_tokens")
    return count if type(count) is int and count > 0 else 0
