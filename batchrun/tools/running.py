"""Runs one call of a function: async ones on their own event loop, plain ones in a thread, both for a limited time."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from inspect import isawaitable
from threading import Thread
from typing import Any

from batchrun.tools.own_loop import OwnLoop
from batchrun.tools.results import ToolResult, failed, failed_by, succeeded


async def run(work: Callable[[], object], loop: OwnLoop, *, blocking: bool, timeout: float) -> ToolResult:
    """What the call came to after at most `timeout` seconds. Raises nothing but cancellation.

    `blocking` work runs in a thread; what it returns to be awaited, and all other work, runs on `loop`.
    """
    try:
        async with asyncio.timeout(timeout):
            return await _outcome(work, loop, blocking)
    except TimeoutError:  # ours: those of the function are results
        return failed(f"TimeoutError: no result after {timeout:g} s")


async def _outcome(work: Callable[[], object], loop: OwnLoop, blocking: bool) -> ToolResult:
    try:
        if not blocking:
            return await _on(loop, work)
        made = await _in_thread(work)
        return made if isinstance(made, ToolResult) else await _on(loop, lambda: made)
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) and task.cancelling():
            raise
        return failed_by(error)  # a function cancelled every task, this call's among them
    except Exception as error:  # no thread can be started, the loop was closed
        return failed_by(error)


async def _on(loop: OwnLoop, work: Callable[[], object]) -> ToolResult:
    def begin() -> Any:  # an executor takes no coroutine function
        return work()

    done: ToolResult = await asyncio.get_running_loop().run_in_executor(loop, begin)
    return done


def _in_thread(work: Callable[[], object]) -> Awaitable[object]:
    context = contextvars.copy_context()
    return asyncio.get_running_loop().run_in_executor(Threads(), context.run, _result_of, work)


def _result_of(work: Callable[[], object]) -> object:
    """Runs in the thread. A plain function may still return something to be awaited, which belongs on the loop."""
    try:
        value = work()
        return value if isawaitable(value) else succeeded(value)
    except BaseException as error:  # nothing else is there to take it
        return failed_by(error)


class Threads(Executor):
    """A daemon thread for each call: a function that never ends takes no place from others and holds up no exit."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()

        def run() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # nothing else is there to take it
                future.set_exception(error)

        Thread(target=run, name="tool", daemon=True).start()
        return future
