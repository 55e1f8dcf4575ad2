"""The limits of a run, as they can be set while it goes on. What is set holds for this process alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from decimal import Decimal

from batchrun.engine.budget import Budget
from batchrun.engine.limits import Limits
from batchrun.engine.pace import Pace
from batchrun.engine.steering import Steering
from batchrun.store.charges import PER_DOLLAR


class Dials:
    """Sets what the parts of an engine share. `budgets` has the run's as "", and those of stages by their names.

    `resize` makes room in flight for so many rows, and returns for how many there was.
    """

    def __init__(
        self,
        paces: MutableMapping[str, Pace],
        whole: Pace,
        resize: Callable[[int | None], int],
        budgets: Mapping[str, Budget],
        steering: Steering,
    ) -> None:
        self._paces, self._whole, self._budgets, self._steering = paces, whole, budgets, steering
        self._resize = resize

    async def set(self, stage: str, name: str, value: float | None) -> float | None:
        """Set the limit `name` of a stage, or of the run (""), and return what it was. None means no limit.

        Raises ValueError, with what to do, for one that cannot be set in this run.
        """
        if name == "max_cost":
            return await self._set_budget(stage, value)
        if name == "in_flight":
            return self._resize(None if value is None else int(value))
        limits, now = self._pace_of(stage).limits, asyncio.get_running_loop().time()
        return limits.set_rpm(value, now) if name == "rpm" else limits.set_tpm(value, now)

    def _pace_of(self, stage: str) -> Pace:
        """The pace of a stage alone, which it gets with its first limit."""
        if not stage:
            return self._whole
        if stage not in self._paces:
            known = ", ".join(filter(None, self._paces))
            raise ValueError(f"there is no stage {stage!r}; {f'there are {known}' if known else 'this job has none'}")
        if self._paces[stage] is self._whole:
            self._paces[stage] = Pace(Limits(None), self._whole, self._steering)
        return self._paces[stage]

    async def _set_budget(self, stage: str, limit: float | None) -> float | None:
        budget, where = self._budgets.get(stage), f"stages.{stage}.limits.max_cost" if stage else "limits.max_cost"
        if budget is None:
            raise ValueError(
                f"this run was begun without {where}, so it does not reckon what it costs; end it with `batchrun "
                f"drain`, and give the next one `--set {where}=…`"
            )
        before = await budget.change(float("inf") if limit is None else round(Decimal(limit) * PER_DOLLAR))
        return None if before == float("inf") else before / PER_DOLLAR
