"""A stream in time: what comes when, and how it ends when the interaction does before its time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from batchrun.emulator import Emulator, EmulatorSettings, load_faults, parse_latency
from tests.emulator.in_process import KEY, URL, body
from tests.virtual_time import VirtualTime

Events = list[dict[str, Any]]
Story = Callable[[httpx.AsyncClient, VirtualTime], Awaitable[Any]]


def told(story: Story, **settings: Any) -> Any:
    """What a story comes to that plays on one loop with its emulator, whose answers take 20 seconds."""
    time = VirtualTime()
    emulator = Emulator(EmulatorSettings(clock=time.wall, latency=parse_latency("20s"), **settings))

    async def run() -> Any:
        transport = httpx.ASGITransport(app=emulator.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://emulator", headers=KEY) as client:
            return await story(client, time)

    try:
        return time.run(run())
    finally:
        emulator.close()


def events_of(answer: httpx.Response) -> Events:
    assert answer.text.endswith("event: done\ndata: [DONE]\n\n")
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]


async def created(client: httpx.AsyncClient, **fields: Any) -> str:
    return str((await client.post(URL, json=body(**fields))).json()["id"])


async def stream(client: httpx.AsyncClient, name: str, **query: str) -> Events:
    return events_of(await client.get(f"{URL}/{name}", params={"stream": "true", **query}))


async def later(client: httpx.AsyncClient, method: str, path: str) -> int:
    """The status of a call that is made after five seconds."""
    await asyncio.sleep(5)
    return (await client.request(method, path)).status_code


@pytest.mark.parametrize("query", [{}, {"last_event_id": "000001"}])
def test_a_cancel_ends_the_streams_that_are_open(query: dict[str, str]) -> None:
    async def story(client: httpx.AsyncClient, time: VirtualTime) -> Any:
        name = await created(client)
        cancel = later(client, "POST", f"{URL}/{name}/cancel")
        first, second, _ = await asyncio.gather(stream(client, name, **query), stream(client, name, **query), cancel)
        return first, second, time.now

    first, second, now = told(story)
    assert first == second
    assert [event["event_type"] for event in first][-1] == "interaction.completed"
    assert first[-1]["interaction"]["status"] == "cancelled"
    assert not [event for event in first if event["event_type"].startswith("step.")]
    assert now == 5


def test_a_cancel_ends_the_stream_of_one_that_would_never_end() -> None:
    async def story(client: httpx.AsyncClient, time: VirtualTime) -> Any:
        name = await created(client)
        events, _ = await asyncio.gather(stream(client, name), later(client, "POST", f"{URL}/{name}/cancel"))
        return events

    assert told(story, faults=load_faults("stuck"))[-1]["interaction"]["status"] == "cancelled"


def test_a_delete_does_not_stop_a_stream() -> None:
    async def story(client: httpx.AsyncClient, time: VirtualTime) -> Any:
        name = await created(client)
        events, status = await asyncio.gather(stream(client, name), later(client, "DELETE", f"{URL}/{name}"))
        return events, status, time.now

    events, status, now = told(story)
    assert (events[-1]["interaction"]["status"], status, now) == ("completed", 200, 20)


def test_the_end_of_the_queue_is_told() -> None:
    async def story(client: httpx.AsyncClient, time: VirtualTime) -> Any:
        name = await created(client)
        whole = await stream(client, name)
        return name, whole, await stream(client, name, last_event_id="000002")

    name, whole, rest = told(story, faults=load_faults("queued=30s"))
    assert (whole[0]["event_type"], whole[0]["interaction"]["status"]) == ("interaction.created", "queued")
    update = {"event_type": "interaction.status_update", "interaction_id": name, "status": "in_progress"}
    assert whole[1] == {**update, "event_id": "000002"}
    assert [event["event_id"] for event in whole] == [f"{number:06}" for number in range(1, len(whole) + 1)]
    assert rest == whole[2:]


@pytest.mark.parametrize(("fault", "errors"), [("failed", 1), ("failed_no_errors", 0)])
def test_a_failure_is_told_before_the_end(fault: str, errors: int) -> None:
    async def story(client: httpx.AsyncClient, time: VirtualTime) -> Any:
        name = await created(client)
        return await stream(client, name), (await client.get(f"{URL}/{name}")).json().get("errors")

    events, told_by_get = told(story, faults=load_faults(fault))
    failures = [event["error"] for event in events if event["event_type"] == "error"]
    assert failures == (told_by_get or [])
    assert len(failures) == errors
    assert (events[-1]["event_type"], events[-1]["interaction"]["status"]) == ("interaction.completed", "failed")


def test_an_interaction_that_was_never_queued_has_no_update() -> None:
    async def story(client: httpx.AsyncClient, time: VirtualTime) -> Any:
        return await stream(client, await created(client))

    assert "interaction.status_update" not in {event["event_type"] for event in told(story)}
