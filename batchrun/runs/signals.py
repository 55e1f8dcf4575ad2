"""SIGINT and SIGTERM, from the first step of a run to its last file."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from batchrun.alerts.commands import leave
from batchrun.errors import Stopped

T = TypeVar("T")

_STOPPED = "Stopped. What was done is kept; run the same command again to go on."
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: Signals whose exception has not arrived: Python drops those raised in a callback of a weak reference, for example.
_lost: list[int] = []


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Inside, a signal raises Stopped where the program stands: nothing is in flight there. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _raise) for number in _SIGNALS}
    try:
        yield
    except Stopped:
        _lost.clear()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, _frame: FrameType | None) -> None:
    _lost.append(number)
    raise Stopped(_STOPPED, number)


async def stoppable(main: Coroutine[Any, Any, T]) -> T:
    """`main`, in which nothing is lost by leaving: the first signal cancels it and raises Stopped when it has ended.

    The second one leaves at once.
    """
    task, signals = asyncio.ensure_future(main), list[int]()

    def cancel(number: int) -> None:
        signals.append(number)
        task.cancel()

    first_signal(cancel)
    try:
        return await task
    except asyncio.CancelledError:
        if not signals:
            raise
        raise Stopped(_STOPPED, signals[0]) from None


def first_signal(end: Callable[[int], None]) -> None:
    """On the running loop: `end` is told of the first signal, the second leaves at once. In a thread there are none."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop, signals = asyncio.get_running_loop(), list[int]()

    def hear(number: int) -> None:
        if signals:  # whether something ends already says nothing: it may be for a reason that the user has not heard
            leave(128 + number)
            return
        signals.append(number)
        end(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, hear, number)
    if _lost:  # it came before the loop ran
        loop.call_soon(hear, _lost[0])
        _lost.clear()
