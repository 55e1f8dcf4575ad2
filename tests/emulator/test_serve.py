"""The emulator on a socket: the vendor's own client, broken connections, a clean end, what outlives it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchrun.emulator import EmulatorSettings, read_ledger, serve
from batchrun.errors import SpecError
from tests.emulator.in_process import KEY, URL, body, json_format, text_of

_SERVE = """
import json, sys
from pathlib import Path
from batchrun.emulator import EmulatorSettings, load_faults, parse_latency, serve
given = json.loads(sys.argv[1])
serve(EmulatorSettings(latency=parse_latency(given["latency"]), faults=load_faults(given["faults"]),
    ledger=Path(given["ledger"]), state=Path(given["state"])))
"""


class Served:
    """An emulator in a process of its own."""

    def __init__(self, where: Path, faults: str = "", latency: str = "0s") -> None:
        self.ledger = where / "ledger.jsonl"
        given = {"latency": latency, "faults": faults, "ledger": str(self.ledger), "state": str(where / "state.db")}
        command = [sys.executable, "-c", _SERVE, json.dumps(given)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """The exit code and what it wrote to standard error."""
        if self._process.poll() is None:
            os.kill(self._process.pid, number)
        _, written = self._process.communicate(timeout=20)
        return self._process.returncode, written


Start = Callable[..., Served]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts emulators on one state and ledger; none outlives its test."""
    started: list[Served] = []

    def begin(**options: str) -> Served:
        started.append(Served(tmp_path, **options))
        return started[-1]

    yield begin
    for served in started:
        served.stop(signal.SIGKILL)


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(headers=KEY, timeout=20) as client:
        yield client


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_cleanly(start: Start, http: httpx.Client, number: int) -> None:
    served = start()
    assert served.url.startswith("http://127.0.0.1:")
    assert http.post(served.url + URL, json=body()).status_code == 200
    assert served.stop(number) == (0, "")


def test_it_does_not_wait_for_answers_that_take_long(start: Start) -> None:
    served = start(latency="1h")

    async def run() -> None:
        async with httpx.AsyncClient(base_url=served.url, headers=KEY, timeout=20) as client:
            asked = asyncio.create_task(client.post(URL, json=body(background=None)))
            while not served.ledger.stat().st_size:
                await asyncio.sleep(0.01)
            assert await asyncio.to_thread(served.stop) == (0, "")
            with pytest.raises(httpx.RemoteProtocolError):
                await asked

    asyncio.run(run())
    assert [line["billed"] for line in read_ledger(served.ledger)] == [True]


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "truncate", "refused_connection"])
def test_a_dropped_connection_is_really_closed(start: Start, http: httpx.Client, kind: str) -> None:
    served = start(faults=f"{kind}:#1")
    with pytest.raises(httpx.TransportError) as broken:
        http.post(served.url + URL, json=body())
    expected = httpx.ReadError if kind == "refused_connection" else httpx.RemoteProtocolError
    assert isinstance(broken.value, expected)
    assert http.post(served.url + URL, json=body()).status_code == 200
    assert served.stop() == (0, "")


def test_state_and_ledger_outlive_a_kill(start: Start, http: httpx.Client) -> None:
    first = start()
    name = http.post(first.url + URL, json=body()).json()["id"]
    first.stop(signal.SIGKILL)
    second = start()
    assert http.get(f"{second.url}{URL}/{name}").json()["status"] == "completed"
    assert [line["id"] for line in read_ledger(first.ledger)] == [name]


def test_a_port_that_is_taken_is_a_spec_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SpecError, match="choose another port"):
        serve(EmulatorSettings(), port=taken.getsockname()[1])


@pytest.fixture
def vendor(start: Start) -> Iterator[Any]:
    from google import genai

    client = genai.Client(api_key="k", http_options={"base_url": start(latency="100ms").url})
    yield client
    client.close()


def polled(vendor: Any, name: str) -> Any:
    """The interaction once it has stopped; asks again at once, as the server decides when that is."""
    while (interaction := vendor.interactions.get(id=name)).status == "in_progress":
        pass
    return interaction


def test_the_vendors_client_gets_text(vendor: Any) -> None:
    interaction = vendor.interactions.create(model="gemini-3.5-flash", input="Hello")
    assert interaction.status == "completed"
    assert interaction.output_text.startswith("[emulated]")
    assert interaction.usage.total_tokens > 0


def test_the_vendors_client_runs_in_the_background(vendor: Any) -> None:
    created = vendor.interactions.create(model="gemini-3.5-flash", input="Hello", background=True)
    assert (created.status, created.steps) == ("in_progress", None)
    interaction = polled(vendor, created.id)
    assert (interaction.id, interaction.status) == (created.id, "completed")


def test_the_vendors_client_continues_a_conversation(vendor: Any) -> None:
    first = vendor.interactions.create(model="gemini-3.5-flash", input="I have 2 dogs.")
    second = vendor.interactions.create(
        model="gemini-3.5-flash", input="How many paws?", previous_interaction_id=first.id
    )
    assert second.previous_interaction_id == first.id


def test_the_vendors_client_replays_a_stateless_history(vendor: Any) -> None:
    question = {"type": "user_input", "content": [{"type": "text", "text": "I have 2 dogs."}]}
    first = vendor.interactions.create(model="gemini-3.5-flash", input=[question], store=False)
    history = [question, *(step.model_dump() for step in first.steps), question]
    assert vendor.interactions.create(model="gemini-3.5-flash", input=history, store=False).status == "completed"


def test_the_vendors_client_gets_structured_output(vendor: Any) -> None:
    schema = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
    interaction = vendor.interactions.create(
        model="gemini-3.5-flash", input="Total: 12.50", response_format=json_format(schema)
    )
    assert json.loads(interaction.output_text) == {"total": 12.5}


def test_the_vendors_client_calls_a_function(vendor: Any) -> None:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = [{"type": "function", "name": "temperature", "description": "Measures.", "parameters": parameters}]
    asked = vendor.interactions.create(model="gemini-3.5-flash", input="City: London", tools=tools)
    call = asked.steps[-1]
    assert (asked.status, call.name, call.arguments) == ("requires_action", "temperature", {"city": "London"})
    result = {"type": "function_result", "name": call.name, "call_id": call.id, "result": {"celsius": 22}}
    done = vendor.interactions.create(
        model="gemini-3.5-flash", input=[result], tools=tools, previous_interaction_id=asked.id
    )
    assert done.status == "completed"


def test_the_vendors_client_streams(vendor: Any) -> None:
    stream = vendor.interactions.create(model="gemini-3.5-flash", input="Hello", stream=True)
    events = [event.event_type for event in stream]
    assert events[0] == "interaction.created"
    assert events[-1] == "interaction.completed"


def test_the_vendors_client_cancels_and_deletes(vendor: Any) -> None:
    research = vendor.interactions.create(
        agent="deep-research-pro-preview-12-2025",
        input="Research.",
        background=True,
        labels={"emulate-fault": "stuck"},
    )
    vendor.interactions.cancel(id=research.id)
    assert vendor.interactions.get(id=research.id).status == "cancelled"
    vendor.interactions.delete(id=research.id)
    with pytest.raises(Exception, match="not found"):
        vendor.interactions.get(id=research.id)


def test_the_vendors_client_understands_every_step(vendor: Any) -> None:
    interaction = vendor.interactions.create(model="gemini-3.5-flash", input="Hello")
    assert [step.type for step in interaction.steps] == ["thought", "model_output"]
    assert not any(getattr(step, "is_unknown", False) for step in interaction.steps)


def test_many_clients_at_once_get_their_own_answers(start: Start) -> None:
    served = start()

    async def ask(client: httpx.AsyncClient, number: int) -> str:
        created = await client.post(URL, json=body(input=f"prompt {number}", labels={"row": str(number)}))
        answer = (await client.get(f"{URL}/{created.json()['id']}")).json()
        assert answer["labels"] == {"row": str(number)}
        return text_of(answer)

    async def run() -> set[str]:
        async with httpx.AsyncClient(base_url=served.url, headers=KEY, timeout=20) as client:
            return set(await asyncio.gather(*(ask(client, number) for number in range(60))))

    assert len(asyncio.run(run())) == 60
