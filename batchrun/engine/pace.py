"""Waiting for permission to start a request. One row waits at a time, the others queue behind it in order.

So no row ever holds a start time that a later 429 made wrong: the one that waits looks again when it wakes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from batchrun.engine.limits import Lease, Limits
from batchrun.engine.steering import Steering

#: A real usage below its estimate may let the next request start sooner than it was told.
_LOOK_AGAIN_SECONDS = 1.0


class Pace:
    """Lets requests start as fast as `limits` allow, and the pace `within` which it is, first come first served.

    While `steering` is paused none starts, so that no permission grows old.
    """

    def __init__(self, limits: Limits, within: Pace | None = None, steering: Steering | None = None) -> None:
        self.limits, self._within = limits, within
        self._steering = steering or Steering()
        self._turn = asyncio.Lock()

    async def start(self, tokens: float = 0.0) -> Lease:
        """Return when a request may start. Raises CancelledError if none will in this run."""
        own = await self._own(tokens)
        return own if self._within is None else replace(own, within=await self._within.start(tokens))

    async def _own(self, tokens: float) -> Lease:
        clock = asyncio.get_running_loop().time
        if not (self._turn.locked() or self._steering.paused) and self.limits.wait(clock()) <= 0:
            return self.limits.take(clock(), tokens)
        async with self._turn:
            await self._steering.may_send()
            while (wait := self.limits.wait(clock())) > 0:
                await asyncio.sleep(min(wait, _LOOK_AGAIN_SECONDS))
                await self._steering.may_send()
            return self.limits.take(clock(), tokens)

    def go_on(self, spent: Sequence[tuple[float, float, float | None]] = (), *, refused: bool) -> None:
        """Begin where an earlier run has stopped: as if it had just started a request; after refusals with one, to see.

        `spent` is what was started lately, as `Limits.remember` has it, but by its age in seconds. So a run that is
        started again and again keeps within its limits, and troubles a service in trouble little.
        """
        now = asyncio.get_running_loop().time()
        self.limits.remember([(now - age, estimate, real) for age, estimate, real in spent])
        self.limits.take(now)
        if refused:
            self.limits.close(now)

    def pause(self, seconds: float) -> None:
        """Start nothing for this long."""
        self.limits.close(asyncio.get_running_loop().time() + seconds)
