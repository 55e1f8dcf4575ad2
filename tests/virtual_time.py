"""An event loop on which hours pass at once: time jumps to the next timer whenever nothing else can run.

Work in threads is finished before the loop goes on, so a run with the same seed takes the same steps in the same order.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from math import ulp
from typing import Any, TypeVar

T = TypeVar("T")

#: Wall time at second 0: 2026-11-22 13:00:00 UTC.
EPOCH = 1_795_352_400.0


class VirtualTime:
    """A clock that only moves when a loop it runs has nothing else to do. It goes on from one run to the next."""

    def __init__(self) -> None:
        self.now = 0.0

    def wall(self) -> float:
        """Unix seconds."""
        return EPOCH + self.now

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Like asyncio.run, in virtual time."""
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(self)) as runner:
            return runner.run(main)


class _Selector(selectors.DefaultSelector):
    """A selector that never waits: it moves the clock instead."""

    def __init__(self, clock: VirtualTime) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("deadlock: nothing is scheduled and nothing can happen any more")
        if not ready:
            self._clock.now += max(timeout or 0.0, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` is virtual; `run_in_executor` uses the real threads and waits for them."""

    def __init__(self, clock: VirtualTime) -> None:
        self._clock = clock
        super().__init__(_Selector(clock))
        # After years of seconds a float has no room for nanoseconds: what is added has to make a difference.
        self._clock_resolution = max(1e-8, 2 * ulp(clock.now))

    def time(self) -> float:
        return self._clock.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(executor.submit(func, *args).result() if executor else func(*args))
        except BaseException as error:
            done.set_exception(error)
        return done
