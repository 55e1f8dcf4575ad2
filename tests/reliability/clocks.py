"""Three clocks that part company: the event loop's, the service's, and the wall clock of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.virtual_time import EPOCH, VirtualLoop, VirtualTime

T = TypeVar("T")

#: No life of a run may take longer, in seconds of virtual time; nor take more steps than this.
LONGEST_LIFE, MOST_STEPS = 4 * 86_400.0, 500_000


class Died(SystemExit):
    """The process is gone."""


class Endless(SystemExit):
    """A run that should have ended long ago."""


@dataclass(frozen=True, slots=True)
class Jump:
    """At `at` seconds of the loop's time the wall clock is set by `seconds`, or the machine sleeps for so long."""

    at: float
    seconds: float
    asleep: bool = False


class Clocks(VirtualTime):
    """`now` is the loop's time, which stands still while the machine sleeps and does not notice when a clock is set.

    With `dies_at` the process dies at that step of the loop, between any two awaits, with `dies_when` at that second;
    `died` is told at once.
    """

    def __init__(self, died: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.jumps: list[Jump] = []
        self.steps = 0
        self.dies_at: int | None = None
        self.dies_when: float | None = None
        self._died = died
        self._ends = LONGEST_LIFE
        self._over = False

    def service(self) -> float:
        """The service's Unix time, which nothing here can set."""
        return EPOCH + self.now + sum(jump.seconds for jump in self._past() if jump.asleep)

    def wall(self) -> float:
        """This machine's Unix time, which a user or a time server may set."""
        return self.service() + sum(jump.seconds for jump in self._past() if not jump.asleep)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Like asyncio.run. Raises Died at the step that is the last, Endless for what does not end."""
        self.steps, self._ends, self._over = 0, self.now + LONGEST_LIFE, False
        with asyncio.Runner(loop_factory=lambda: _MortalLoop(self)) as runner:
            try:
                return runner.run(main)
            finally:
                self._over = True  # the loop's own end is no step of the run

    def end(self) -> Callable[[], None] | None:
        """Count a step; what ends the process in its place, None while it lives."""
        self.steps += 1
        due = self.steps == self.dies_at or (self.dies_when is not None and self.now >= self.dies_when)
        if self._over or not (due or self._endless):
            return None
        self._over = True
        return self._die

    @property
    def _endless(self) -> bool:
        return self.steps > MOST_STEPS or self.now > self._ends

    def _die(self) -> None:
        if self._endless:
            raise Endless(f"{self.steps} steps, and more than {LONGEST_LIFE:.0f} s")
        self._died()
        raise Died

    def _past(self) -> list[Jump]:
        return [jump for jump in self.jumps if jump.at <= self.now]


class _MortalLoop(VirtualLoop):
    """Counts its steps in `clocks`, and dies when its hour has come."""

    def __init__(self, clocks: Clocks) -> None:
        super().__init__(clocks)
        self._clocks = clocks

    def call_soon(self, callback: Callable[..., Any], *args: Any, **context: Any) -> asyncio.Handle:  # type: ignore[override]
        if (end := self._clocks.end()) is not None:
            super().call_soon(end)
        return super().call_soon(callback, *args, **context)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """The store's one thread is this one: it would be waited for anyway."""
        return super().run_in_executor(None if isinstance(executor, ThreadPoolExecutor) else executor, func, *args)
