"""SIGINT and SIGTERM, from the first step of a run to its last file."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from batchrun.engine.engine import Engine
from batchrun.errors import Stopped

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Inside, a signal raises Stopped where the program stands: nothing is in flight there. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _raise) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, _frame: FrameType | None) -> None:
    raise Stopped("Stopped. What was done is kept; run the same command again to go on.", number)


def stop_gently(engine: Engine) -> None:
    """On the running loop: the first signal lets open POSTs answer, the second leaves at once."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        if engine.leaving:
            os._exit(128 + number)
        engine.stop(Stopped("Stopped; what was submitted goes on at the service.", number))

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
