"""The job's limit in money: the prices that it counts with, and what the run is charged with already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_UP, Decimal
from math import inf

from batchrun.engine.budget import Budget, dollars
from batchrun.engine.request import Request, most_written
from batchrun.errors import SpecError
from batchrun.interactions.models import Interaction
from batchrun.prices.table import Prices, load_prices
from batchrun.runs.bills import cost_of, cost_of_answer, day_of
from batchrun.runs.opening import OpenRun
from batchrun.spec.canonical import sha256_of
from batchrun.spec.load import Job
from batchrun.store.charges import PER_DOLLAR, charged, set_aside, uncharged

#: The longest answer of a text model, thoughts included. Source: the public pages on the models.
LONGEST_ANSWER = 65_536
#: What is read is estimated at four characters a token; of scripts other than Latin it may be twice that.
_MARGIN = 2
_TIERS = ("standard", "flex", "priority")


def budgets_of(opened: OpenRun, wall: Callable[[], float]) -> Mapping[str, Budget]:
    """What bounds the cost of the run, as "", and of stages that have a limit of their own, by their names.

    Nothing, if there is no limit. Raises SpecError where one cannot be kept.
    """
    own = {job.stage: limit for job in opened.job.asking if (limit := _own_limit(job)) is not None}
    limit = opened.job.spec.limits.max_cost
    if limit is None and not own:
        return {}
    prices = _charge_earlier(opened, wall())

    def most(request: Request) -> int | None:
        return most_of(request, prices, wall())

    def cost(answer: Interaction) -> int | None:
        told = cost_of_answer(answer, answer.model, answer.service_tier, answer.usage, wall(), prices)
        return _units(told.total) if told is not None and told.complete else None

    def budget(limit: float | None, stage: str | None, within: Budget | None = None) -> Budget:
        units = inf if limit is None else _units(Decimal(str(limit)))
        spent, aside = charged(opened.reader, stage) or 0, set_aside(opened.reader, stage)
        return Budget(units, most, cost, spent, aside, within=within, stage=stage or "")

    whole = budget(limit, None)
    return {"": whole} | {stage: budget(limit, stage, whole) for stage, limit in own.items()}


def _own_limit(job: Job) -> float | None:
    return None if job.stage_spec is None else job.stage_spec.limits.max_cost


def prices_of(job: Job, at: float) -> Prices:
    """The prices that the job counts with. Raises SpecError if its limits in money cannot be kept with them."""
    spec = job.spec.limits
    prices = load_prices(job.base / spec.prices if spec.prices else None)
    for each in job.asking:
        _require_bound(each, prices, at)
        for limit, where in ((spec.max_cost, ""), (_own_limit(each), f"stages.{each.stage}.")):
            if limit is not None:
                _require_room(each, limit, f"{job.path}: {where}limits.max_cost", prices, at)
    return prices


def _require_bound(job: Job, prices: Prices, at: float) -> None:
    request = job.spec.request
    where = f"{job.path}: limits.max_cost" + (f", stage {job.stage}" if job.stage else "")
    named = request.model or request.agent
    if named and prices.find(named, day_of(at)) is None:
        raise SpecError(
            f"{where}: no price is known for {named!r}. Name a file of your own prices in limits.prices; nothing was "
            "sent."
        )
    if request.agent and most_written(request.model_dump(exclude_none=True)) is None:
        raise SpecError(
            f"{where}: nothing bounds what an interaction of {request.agent!r} may cost. Agents that take "
            "agent_config.max_total_tokens have a bound with it; nothing was sent."
        )


def _require_room(job: Job, limit: float, place: str, prices: Prices, at: float) -> None:
    """Raises SpecError if not even one answer fits: all rows would only fail."""
    request, units = job.spec.request, _units(Decimal(str(limit)))
    written = most_written(request.model_dump(exclude_none=True)) or LONGEST_ANSWER
    most = prices.most(request.model or request.agent or "", request.service_tier, 0, written, day_of(at))
    if most is not None and _units(most) > units:
        raise SpecError(
            f"{place}: an answer of {written:,} tokens may cost {dollars(_units(most))} by itself, more than the "
            f"{dollars(units)} of the limit. Raise it, or lower generation_config.max_output_tokens; nothing was sent."
        )


def most_of(request: Request, prices: Prices, at: float) -> int | None:
    """What a request may cost, in billionths of a dollar; None if no price is known, or nothing bounds it."""
    read, written = request.most_read, min(request.most_written or LONGEST_ANSWER, LONGEST_ANSWER)
    if request.agent:
        if request.most_written is None:
            return None
        read, written = 0, request.most_written
    most = prices.most(request.model or "", request.tier, read, written, day_of(at))
    return None if most is None else _units(most)


def _charge_earlier(opened: OpenRun, at: float) -> Prices:
    """Charge attempts that were made without a limit, or with other prices, with what they cost or may have cost.

    Returns the prices that the job counts with. Raises SpecError as `prices_of` does.
    """
    prices = prices_of(opened.job, at)
    others = opened.store.forget_charges(sha256_of(prices.model_dump(mode="json")))
    charges = []
    for attempt, estimated, charge in uncharged(opened.reader, supposed=others):
        told = cost_of(attempt, prices)
        known = _units(told.total) if told and told.complete else None
        if known is None:
            written = most_written(opened.job.of(attempt.stage).request.values) or LONGEST_ANSWER
            most = most_unseen(prices, attempt.model, estimated, attempt.intent_at, written)
            known = max(charge, _units(most or Decimal(0)))
        charges.append((known, attempt.id))
    opened.store.charge(charges)
    return prices


def most_unseen(
    prices: Prices,
    model: str | None,
    estimated: int,
    at: float,
    written: int = LONGEST_ANSWER,
    tiers: Sequence[str] = _TIERS,
) -> Decimal | None:
    """What a POST may cost in dollars of which only an estimate of what it reads is known, in the dearest of `tiers`.

    None if no price is known.
    """
    read, written = estimated * _MARGIN, min(written, LONGEST_ANSWER)
    each = (prices.most(model or "", tier, read, written, day_of(at)) for tier in tiers)
    return max((most for most in each if most is not None), default=None)


def _units(amount: Decimal) -> int:
    return int((amount * PER_DOLLAR).to_integral_value(ROUND_UP))
