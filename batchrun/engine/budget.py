"""A run's limit in money: what a POST may cost is set aside before it, and corrected when its usage is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from batchrun.engine.request import Request
from batchrun.errors import BudgetError, RowError
from batchrun.interactions.models import Interaction
from batchrun.store.charges import PER_DOLLAR
from batchrun.store.records import AttemptState


class Budget:
    """Keeps what a run is charged below `limit`. All sums are billionths of a dollar.

    `most` says what a request may cost, None where no price is known; `cost` what an answer has cost, None where its
    usage does not tell. `charged` is what counts already, with what `aside` holds of it for rows that an earlier
    process left under way, by row id. A stage's own is `within` the run's, and `stage` names it.
    """

    def __init__(
        self,
        limit: float,
        most: Callable[[Request], int | None],
        cost: Callable[[Interaction], int | None],
        charged: int = 0,
        aside: Mapping[int, int] | None = None,
        *,
        within: Budget | None = None,
        stage: str = "",
    ) -> None:
        self._limit, self._most, self._cost = limit, most, cost
        self._begun_with = limit
        self._within, self._stage = within, stage
        self.charged, self._aside = charged, aside or {}
        self._open: dict[int, int] = {}
        self._changed = asyncio.Condition()

    async def change(self, limit: float) -> float:
        """Keep below another limit from now on, and return what it was. What is charged already may be above it."""
        before = self._limit
        async with self._changed:
            self._limit = limit
            self._changed.notify_all()
        return before

    def resume(self, row_id: int) -> None:
        """A row is gone on with: what was set aside for it may turn out to be too much."""
        if row_id in self._aside:
            self._open[row_id] = self._aside[row_id]
        if self._within is not None:
            self._within.resume(row_id)

    async def set_aside(self, row_id: int, request: Request) -> int:
        """Wait until the request fits, and return what it may cost.

        Raises BudgetError if it does not fit and nothing is under way that may turn out cheaper, RowError for a model
        without a price, and for a request that could never fit.
        """
        most = self._most(request)
        if most is None:
            raise RowError("unpriced", f"{self._named}: nothing is known of what {request.model!r} costs at most")
        if most > max(self._limit, self._begun_with):  # a row does not fail because the limit was lowered meanwhile
            raise RowError("over_budget", f"this request may cost {dollars(most)}, more than {self._named} altogether")
        await self._reserve(row_id, most)
        if self._within is not None:
            try:
                await self._within.set_aside(row_id, request)
            except BaseException:
                await self._correct(row_id, 0)
                raise
        return most

    async def _reserve(self, row_id: int, most: int) -> None:
        async with self._changed:
            while self.charged + most > self._limit:
                if not self._open:
                    self._changed.notify_all()
                    raise self._used_up(most)
                await self._changed.wait()
            self.charged += most
            self._open[row_id] = most

    async def settle(self, row_id: int, answer: Interaction) -> int | None:
        """The answer of a row is there: returns what it is charged with, None if that stays what was set aside."""
        cost = self._cost(answer)
        await self._correct(row_id, cost)
        if self._within is not None:
            await self._within.settle(row_id, answer)
        return cost

    async def posted(self, row_id: int, state: AttemptState) -> None:
        """A POST of the row has ended so. One of unknown fate stays charged, also if the row is sent again."""
        if state in (AttemptState.REFUSED, AttemptState.NOT_SENT):
            await self._correct(row_id, 0)
        elif state is AttemptState.AMBIGUOUS:
            await self._correct(row_id, None)
        if self._within is not None:
            await self._within.posted(row_id, state)

    async def close(self, row_id: int) -> None:
        """The row has ended: what is still set aside for it stays charged."""
        await self._correct(row_id, None)
        if self._within is not None:
            await self._within.close(row_id)

    async def _correct(self, row_id: int, cost: int | None) -> None:
        aside = self._open.pop(row_id, None)
        if aside is None:
            return
        async with self._changed:
            self.charged += aside if cost is None else cost
            self.charged -= aside
            self._changed.notify_all()

    def _used_up(self, most: int) -> BudgetError:
        return BudgetError(
            f"{self._named} of {dollars(self._limit)} leaves no room for the next request, which may cost "
            f"{dollars(most)}: {dollars(self.charged)} are spent or may be. Rows stay pending; raise it, or lower "
            "generation_config.max_output_tokens, and run the same command.",
            self._stage,
        )

    @property
    def _named(self) -> str:
        return f"stages.{self._stage}.limits.max_cost" if self._stage else "limits.max_cost"


def dollars(sum: float) -> str:
    """`$1.20`; small sums with as many places as they need to be seen."""
    value = sum / PER_DOLLAR
    return f"${value:,.2f}" if value >= 0.1 or not sum else f"${value:.2g}"
