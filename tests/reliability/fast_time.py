"""An event loop on which real sockets work and every second is over in a hundredth of one."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from time import perf_counter
from typing import Any, TypeVar

from tests.reliability.clocks import Clocks
from tests.virtual_time import EPOCH

T = TypeVar("T")
SPEED = 100.0


class FastTime(Clocks):
    """Clocks that run `SPEED` times as fast as those of the machine, also between lives. Nobody dies in them.

    `beside` is entered on the loop of each life, and left at its end.
    """

    def __init__(self, beside: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        super().__init__()
        self._beside = beside
        self._began = perf_counter()

    def wall(self) -> float:
        """This machine's Unix time, which is the service's too."""
        return EPOCH + (perf_counter() - self._began) * SPEED

    service = wall

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        async def beside() -> T:
            async with self._beside():
                return await main

        with asyncio.Runner(loop_factory=_FastLoop) as runner:
            return runner.run(beside())


class _FastLoop(asyncio.SelectorEventLoop):
    """`time()` and what waits for it run fast; sockets are as they are."""

    def __init__(self) -> None:
        super().__init__(_Selector())

    def time(self) -> float:
        return super().time() * SPEED


class _Selector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / SPEED)
