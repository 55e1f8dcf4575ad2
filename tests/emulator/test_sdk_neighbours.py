"""The vendor's Python client on a served emulator: files, agents, environments, webhooks, continuation."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from google import genai

_SERVE = "from batchrun.emulator import *\nserve(EmulatorSettings(decode_limit=20))"
MODEL = "gemini-3.5-flash"
QUESTION = "How many paws are in my house?"
pytestmark = pytest.mark.filterwarnings("ignore:.*usage is experimental")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    process = subprocess.Popen([sys.executable, "-c", _SERVE], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, genai.Client(api_key="a-key", http_options={"base_url": process.stdout.readline().strip()}) as client:
        yield client
        process.terminate()


class Receiver(HTTPServer):
    """Takes messages and keeps them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.got: Queue[tuple[dict[str, str], Any]] = Queue()
        self.uri = f"http://127.0.0.1:{self.server_port}/hook"

    def next(self) -> tuple[dict[str, str], Any]:
        """The headers and the JSON of the next message."""
        return self.got.get(timeout=10)


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert isinstance(self.server, Receiver)
        self.server.got.put(({name.lower(): value for name, value in self.headers.items()}, content))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *parts: Any) -> None:
        """Says nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("store", [True, False])
def test_the_client_continues_a_long_answer_by_itself(client: Any, store: bool) -> None:
    interaction = client.interactions.create(model=MODEL, input=QUESTION, store=store)
    assert interaction.status == "completed"
    assert len(interaction.continuation_ids) > 2
    assert interaction.output_text.startswith("[emulated] Made-up answer")
    assert interaction.output_text.endswith(".")


def test_the_client_continues_a_stream_by_itself(client: Any) -> None:
    events = list(client.interactions.create(model=MODEL, input=QUESTION, stream=True))
    text = "".join(
        event.delta.text for event in events if event.event_type == "step.delta" and event.delta.type == "text"
    )
    assert text == client.interactions.create(model=MODEL, input=QUESTION).output_text


def test_the_client_uploads_in_chunks_uses_and_deletes_a_file(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "totals.csv"
    path.write_bytes(b"name,total\n" * 1_000_000)
    file = client.files.upload(file=path)
    assert (file.size_bytes, file.mime_type, file.state.name) == (11_000_000, "text/csv", "ACTIVE")
    block = {"type": "document", "uri": file.uri, "mime_type": "text/csv"}
    assert client.interactions.create(model=MODEL, input=[block], background=True).status == "in_progress"
    assert [listed.name for listed in client.files.list()] == [file.name]
    client.files.delete(name=file.name)
    assert list(client.files.list()) == []


def test_the_client_counts_tokens_and_knows_models(client: Any) -> None:
    assert client.models.count_tokens(model=MODEL, contents=QUESTION).total_tokens == 8
    assert client.models.get(model=MODEL).name == f"models/{MODEL}"
    assert f"models/{MODEL}" in [model.name for model in client.models.list()]


def test_the_client_stores_an_agent_and_uses_it(client: Any) -> None:
    base = {"type": "remote"}
    client.agents.create(id="my-agent", base_agent="antigravity-preview-09-2026", base_environment=base)
    assert [agent.id for agent in client.agents.list().agents] == ["my-agent"]
    interaction = client.interactions.create(agent="my-agent", input="Save 5 primes to primes.txt")
    assert (interaction.status, interaction.agent) == ("completed", "my-agent")
    environment = client.environments.get(id=interaction.environment_id)
    assert (environment.status, environment.file_count) == ("active", 1)
    client.environments.delete(id=environment.id)
    client.agents.delete(id="my-agent")
    assert client.agents.list().agents == []


def test_webhooks_reach_a_receiver_on_this_machine(client: Any, receiver: Receiver) -> None:
    hook = client.webhooks.create(uri=receiver.uri, subscribed_events=["interaction.completed"])
    assert hook.new_signing_secret.startswith("whsec_")
    client.webhooks.ping(id=hook.id)
    name = client.interactions.create(model=MODEL, input=QUESTION, background=True).id
    kinds = {(content["type"], content["data"]["id"]) for _, content in (receiver.next(), receiver.next())}
    assert kinds == {("webhook.ping", hook.id), ("interaction.completed", name)}
    assert client.webhooks.rotate_signing_secret(id=hook.id).secret != hook.new_signing_secret
    client.webhooks.delete(id=hook.id)


def test_a_request_brings_its_own_webhook(client: Any, receiver: Receiver) -> None:
    config = {"uris": [receiver.uri], "user_metadata": {"row": "r1"}}
    name = client.interactions.create(model=MODEL, input=QUESTION, background=True, webhook_config=config).id
    headers, content = receiver.next()
    assert content["data"] == {"id": name, "user_metadata": {"row": "r1"}}
    assert headers["webhook-signature"].count(".") == 2
