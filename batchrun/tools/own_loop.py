"""An event loop for what is async of the user's: whatever is done to it, batchrun's own loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from inspect import isawaitable
from threading import Thread
from typing import Any

from batchrun.tools.results import ToolResult, failed_by, succeeded

#: Seconds in which what is left on the loop has to end when it is closed.
_GRACE = 5.0


class OwnLoop(Executor):
    """Runs async functions on one event loop, in a thread that begins with the first of them.

    It is the same loop for every call, so that calls can share what belongs to a loop. Cancelling every task there ends
    calls, nothing else; a loop that is stopped starts again.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._closing = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """What `fn` returns, awaited if need be, as a ToolResult. To cancel the future is to cancel the call."""
        return asyncio.run_coroutine_threadsafe(_awaited(partial(fn, *args, **kwargs)), self._started())

    def close(self) -> None:
        """Cancel what is left, and wait for it for a while; what will not end goes on in its daemon thread."""
        if self._loop is not None and self._thread is not None:
            self._closing = True
            with suppress(RuntimeError):  # closed by a function
                self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_GRACE)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = Thread(target=self._serve, args=[self._loop], name="tools", daemon=True)
            self._thread.start()
        return self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:  # its end cancels the tasks that are left
            runner.get_loop()
            while not (self._closing or loop.is_closed()):
                with suppress(BaseException):  # a task that a function left behind may raise SystemExit
                    loop.run_forever()


async def _awaited(work: Callable[[], object]) -> ToolResult:
    try:
        value = work()
        return succeeded(await value if isawaitable(value) else value)
    except BaseException as error:  # the user's functions may raise anything; Ctrl-C comes to another thread
        return failed_by(error)
