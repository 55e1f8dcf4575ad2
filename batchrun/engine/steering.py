"""What was said to a run while it goes on, and what every part that sends or begins something asks about it."""

from __future__ import annotations

import asyncio


class Steering:
    """`paused`: no POST and no upload begins. `draining`: no further row begins. `detached`: nobody waits for answers.

    If it is not `patient` nobody waits from the beginning: what an earlier run submitted is polled once. One that is
    `deaf` cannot be told that a pause is over.
    """

    def __init__(self, *, patient: bool = True) -> None:
        self.patient = patient
        self.paused = self.draining = self.detached = self.deaf = False
        self._news = asyncio.Event()

    def pause(self) -> None:
        self.paused = True
        self._tell()

    def resume(self) -> None:
        self.paused = False
        self._tell()

    def drain(self) -> None:
        self.draining = True
        self._tell()

    def detach(self) -> None:
        self.detached, self.patient = True, False
        self._tell()

    @property
    def leaving(self) -> bool:
        """Whether somebody told the run to end before all rows have."""
        return self.draining or self.detached

    @property
    def waits(self) -> bool:
        """Whether what a pause keeps from being sent waits for its end; else it is left to a later run."""
        return self.patient and not (self.draining or self.deaf)

    async def may_send(self) -> None:
        """Return when a POST may start. Raises CancelledError if none will in this run."""
        while self.paused:
            if not self.waits:
                raise asyncio.CancelledError
            await self._news.wait()

    async def may_begin(self) -> bool:
        """Whether a further row may begin; waits for the end of a pause."""
        while self.paused and self.waits:
            await self._news.wait()
        return not (self.paused or self.draining)

    def require_begun(self, begun: bool) -> None:
        """Raises CancelledError for a row of which nothing was accepted yet, if no further row is to begin."""
        if self.draining and not begun:
            raise asyncio.CancelledError

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
