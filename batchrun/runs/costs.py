"""What a run has cost so far, by stage and by model, with the prices that the job counts with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from batchrun.outputs.counts import counts_of
from batchrun.prices.bill import Cost
from batchrun.prices.table import load_prices
from batchrun.runs.bills import cost_of
from batchrun.spec.load import Job
from batchrun.store.reader import Reader

KINDS = ("input", "output", "thought", "cached")


@dataclass
class Spent:
    """What the interactions of a stage with one model have taken; `stage` is empty in a job without stages.

    Of the `interactions` so many were `replaced` by others; of `doubtful` POSTs nobody can tell whether they were
    billed. `tokens` are by kind, `costs` those of the interactions that have ended, None for one that has no price.
    """

    stage: str
    model: str
    interactions: int = 0
    replaced: int = 0
    doubtful: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    costs: list[Cost | None] = field(default_factory=list)

    @property
    def dollars(self) -> Decimal:
        """As far as it is known."""
        return sum((cost.total for cost in self.costs if cost is not None), start=Decimal(0))


def spent_of(job: Job, reader: Reader) -> Iterator[Spent]:
    """By stage in their order, then by model. Raises SpecError for prices that cannot be read."""
    given = job.spec.limits.prices
    prices = load_prices(job.base / given if given else None)
    found: dict[tuple[str, str], Spent] = {}
    for attempt in reader.attempts(raw=True):
        if attempt.billed is False:
            continue
        name = attempt.stage, attempt.model or "(no model)"
        spent = found.setdefault(name, Spent(*name))
        if attempt.billed is None:
            spent.doubtful += 1
            continue
        counts = counts_of(attempt.usage)
        spent.interactions += 1
        spent.replaced += attempt.superseded_at is not None
        spent.tokens.update({kind: counts.get(f"total_{kind}_tokens", 0) for kind in KINDS})
        if attempt.fetched_at is not None or attempt.usage is not None:
            spent.costs.append(cost_of(attempt, prices))
    order = [each.stage for each in job.each]
    yield from sorted(
        found.values(), key=lambda each: (order.index(each.stage) if each.stage in order else -1, each.model)
    )
