"""Functions that do what nobody should: each call has its answer all the same, and other calls theirs."""

from __future__ import annotations

import asyncio

import pytest

from batchrun.tools import Toolbox, ToolResult
from tests.tools.conftest import Load

CLUMSY = """
import asyncio, threading, time
begun = threading.Semaphore(0)
given_up = threading.Event()
made = []

async def cancels_everything() -> str:
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(0)
    return "not reached"

async def cancels_itself() -> str:
    asyncio.current_task().cancel()
    return "too late"

async def stops_the_loop() -> str:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    return "went on"

async def never_ends():
    while not given_up.is_set():
        await asyncio.sleep(0)

async def will_not_be_cancelled():
    while not given_up.is_set():
        try:
            await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            pass

async def leaves_an_exit_behind() -> str:
    async def leave(): raise SystemExit(3)
    asyncio.get_running_loop().create_task(leave())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return "still here"

async def waits() -> str:
    begun.release()
    await asyncio.Event().wait()

async def same_loop() -> bool:
    loop = asyncio.get_running_loop()
    made.append(loop)
    return loop is made[0]

async def lock(number: int) -> list:
    "Two calls that meet at something which belongs to a loop."
    if not made:
        made.append(asyncio.Barrier(2))
    await made[0].wait()
    return [number]

def fine() -> str:
    return "fine"
"""


def both(box: Toolbox, first: str, second: str) -> list[ToolResult]:
    """Two calls at once, on one loop of the engine's."""

    async def main() -> list[ToolResult]:
        return await asyncio.gather(box.call(first, {}), box.call(second, {}))

    return asyncio.run(main())


def answer(box: Toolbox, name: str) -> ToolResult:
    return both(box, name, "fine")[0]


def test_a_function_that_cancels_every_task_ends_calls_and_nothing_else(load: Load) -> None:
    box = load(CLUMSY)

    async def main() -> tuple[ToolResult, ToolResult, int]:
        waiting = asyncio.create_task(box.call("waits", {}))
        import job_functions  # type: ignore[import-not-found]

        await asyncio.to_thread(job_functions.begun.acquire)
        own = await box.call("cancels_everything", {})
        return own, await waiting, sum(task.cancelling() for task in asyncio.all_tasks())

    cancelled = ToolResult("CancelledError", is_error=True)
    assert asyncio.run(main()) == (cancelled, cancelled, 0)
    assert answer(box, "same_loop") == ToolResult({"result": True}, is_error=False)


def test_a_function_that_cancels_its_own_task_is_an_answer(load: Load) -> None:
    box = load(CLUMSY)
    assert answer(box, "cancels_itself") == ToolResult("CancelledError", is_error=True)


@pytest.mark.parametrize(("name", "said"), [("stops_the_loop", "went on"), ("leaves_an_exit_behind", "still here")])
def test_a_loop_that_was_stopped_goes_on(load: Load, name: str, said: str) -> None:
    box = load(CLUMSY)
    for _ in range(3):
        assert answer(box, name) == ToolResult(said, is_error=False)
    assert answer(box, "same_loop") == ToolResult({"result": True}, is_error=False)


@pytest.mark.parametrize("name", ["never_ends", "will_not_be_cancelled"])
def test_a_function_that_does_not_end_is_given_up_while_others_work(load: Load, name: str) -> None:
    box = load(CLUMSY, timeout=0.3)
    late = ToolResult("TimeoutError: no result after 0.3 s", is_error=True)
    assert both(box, name, "stops_the_loop") == [late, ToolResult("went on", is_error=False)]
    import job_functions

    job_functions.given_up.set()


def test_calls_share_what_belongs_to_a_loop(load: Load) -> None:
    box = load(CLUMSY)

    async def main() -> list[ToolResult]:
        return await asyncio.gather(*(box.call("lock", {"number": n}) for n in (1, 2)))

    assert [result.result for result in asyncio.run(main())] == [{"result": [1]}, {"result": [2]}]


def test_what_is_left_running_is_cancelled_when_the_functions_are_closed(load: Load) -> None:
    code = """
import asyncio, threading
ended = threading.Event()
kept = []
async def work() -> str:
    async def on():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
    kept.append(asyncio.create_task(on()))
    await asyncio.sleep(0)
    return "left something"
"""
    box = load(code)
    assert asyncio.run(box.call("work", {})).result == "left something"
    box.close()
    import job_functions

    assert job_functions.ended.is_set()
