"""The job's limit in money: the prices that it counts with, and what the run is charged with already."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_UP, Decimal

from batchrun.engine.budget import PER_DOLLAR, Budget
from batchrun.engine.request import Request
from batchrun.errors import SpecError
from batchrun.interactions.models import Interaction
from batchrun.prices.table import Prices, load_prices
from batchrun.runs.bills import cost_of, cost_of_answer, day_of
from batchrun.runs.opening import OpenRun
from batchrun.spec.canonical import sha256_of
from batchrun.spec.load import Job

#: The longest answer of a text model, thoughts included. Source: the public pages on the models.
LONGEST_ANSWER = 65_536
#: What is read is estimated at four characters a token; of scripts other than Latin it may be twice that.
_MARGIN = 2


def budget_of(opened: OpenRun, wall: Callable[[], float]) -> Budget | None:
    """What bounds the run's cost, None where the job does not. Raises SpecError where no bound can be kept."""
    limit = opened.job.spec.limits.max_cost
    if limit is None:
        return None
    prices = prices_of(opened.job, wall())

    def most(request: Request) -> int | None:
        return most_of(request, prices, wall())

    def cost(answer: Interaction) -> int | None:
        told = cost_of_answer(answer, answer.model, answer.service_tier, answer.usage, wall(), prices)
        return _units(told.total) if told is not None and told.complete else None

    opened.store.forget_charges(sha256_of(prices.model_dump(mode="json")))
    _charge_earlier(opened, prices)
    charged, aside = opened.reader.charged() or 0, opened.reader.set_aside()
    return Budget(_units(Decimal(str(limit))), most, cost, charged, aside)


def prices_of(job: Job, at: float) -> Prices:
    """The prices that the job counts with. Raises SpecError if its limit in money cannot be kept with them."""
    spec, request = job.spec.limits, job.spec.request
    prices = load_prices(job.base / spec.prices if spec.prices else None)
    named = request.model or request.agent
    if named and prices.find(named, day_of(at)) is None:
        raise SpecError(
            f"{job.path}: limits.max_cost: no price is known for {named!r}. Name a file of your own prices in "
            "limits.prices; nothing was sent."
        )
    if request.agent and not isinstance((request.agent_config or {}).get("max_total_tokens"), int):
        raise SpecError(
            f"{job.path}: limits.max_cost: nothing bounds what an interaction of {request.agent!r} may cost. Agents "
            "that take agent_config.max_total_tokens have a bound with it; nothing was sent."
        )
    return prices


def most_of(request: Request, prices: Prices, at: float) -> int | None:
    """What a request may cost, in billionths of a dollar; None if no price is known, or nothing bounds it."""
    if request.agent and request.most_written is None:
        return None
    written = LONGEST_ANSWER if request.most_written is None else request.most_written
    read = 0 if request.agent else request.tokens * _MARGIN
    most = prices.most(request.model or "", request.tier, read, written, day_of(at))
    return None if most is None else _units(most)


def _charge_earlier(opened: OpenRun, prices: Prices) -> None:
    """Attempts that were made without a limit, or with other prices, are charged with what they cost or may cost."""
    charges = []
    for attempt in opened.reader.uncharged():
        told = cost_of(attempt, prices)
        most = prices.most(attempt.model or "", attempt.service_tier, 0, LONGEST_ANSWER, day_of(attempt.intent_at))
        charges.append((_units((told.total if told else None) or most or Decimal(0)), attempt.id))
    opened.store.charge(charges)


def _units(dollars: Decimal) -> int:
    return int((dollars * PER_DOLLAR).to_integral_value(ROUND_UP))
