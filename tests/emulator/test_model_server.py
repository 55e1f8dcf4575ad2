"""`openai:URL` lets a model server answer: what becomes of its answers, what happens without it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.emulator import Emulator, EmulatorSettings, load_faults, load_replies
from batchrun.emulator.replies.chat import NotUnderstood, outcome_from
from batchrun.emulator.views import tail_of
from batchrun.errors import SpecError
from tests.emulator.in_process import URL, Clock, body, json_format, talk, text_of
from tests.emulator.model_server import Request, completion, model_server, says
from tests.emulator.model_talk import asked, conversed, polled

SCHEMA = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}


def test_output_that_runs_on_is_incomplete() -> None:
    interaction, _ = asked(says("la la la", "length"))
    assert (interaction["status"], text_of(interaction)) == ("incomplete", "la la la")


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"error": {"message": "out of memory"}}),
        (503, b"Loading model"),
        (200, b"no JSON"),
        (200, {"choices": []}),
        (200, {"choices": [{"message": {"content": 7}}]}),
        (200, completion(None, tool_calls=[{"function": {"name": "look", "arguments": "no JSON"}}])),
        (200, []),
    ],
)
def test_a_server_that_errs_fails_the_interaction(answer: tuple[int, Any]) -> None:
    interaction, _ = asked(lambda request: answer)
    assert interaction["status"] == "failed"
    assert interaction["errors"][0]["code"] == "api_error"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((401, {"error": {"message": "no key"}}), "no key"),
        ((404, {"error": "model 'gemini-3.5-flash' not found"}), "?model=NAME names a model"),
        ((413, b"too large"), "too large"),
        ((500, {"error": {"message": "image input is not supported"}}), "image input is not supported"),
        (
            (400, {"error": {"type": "exceed_context_size_error", "n_prompt_tokens": 900, "n_ctx": 512}}),
            "the prompt has 900 tokens and the model's context only 512",
        ),
    ],
)
def test_what_a_server_would_always_decline_is_an_error_of_the_request(answer: tuple[int, Any], reason: str) -> None:
    interaction, _ = asked(lambda request: answer)
    (error,) = interaction["errors"]
    assert error["code"] == "invalid_request"
    assert reason in error["message"]


def test_a_server_without_schemas_is_asked_again_without_one() -> None:
    def answering(request: Request) -> tuple[int, Any]:
        if "response_format" in request:
            return 400, {"error": {"message": "response_format is not known here"}}
        return 200, completion('{"total": 3}')

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        answer = await client.post(URL, json=body(background=None, response_format=json_format(SCHEMA)))
        assert text_of(answer.json()) == '{"total": 3}'

    first, second = conversed(answering, conversation)
    assert first["response_format"]["type"] == "json_schema"
    assert second == {name: value for name, value in first.items() if name != "response_format"}
    assert '"required":["total"]' in second["messages"][0]["content"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["message", "content", "tool_calls", "function", "name", "arguments"]), inner)
    ),
    max_leaves=8,
)
CHOICE = st.fixed_dictionaries({"message": JSON}, optional={"finish_reason": JSON})


@given(st.fixed_dictionaries({"choices": st.lists(CHOICE, max_size=2) | JSON}, optional={"usage": JSON}) | JSON)
def test_an_answer_is_understood_or_it_is_not(document: Any) -> None:
    try:
        outcome = outcome_from(document)
    except NotUnderstood:
        return
    assert outcome.status in ("completed", "incomplete", "requires_action")
    assert all(isinstance(step["type"], str) for step in outcome.steps)
    assert tail_of(outcome, 0.0)


def test_a_server_that_is_not_there_fails_the_interaction() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        interaction = (await client.post(URL, json=body(background=None))).json()
        assert interaction["status"] == "failed"
        assert "http://127.0.0.1:9/v1" in interaction["errors"][0]["message"]

    talk(EmulatorSettings(replies=load_replies("openai:http://127.0.0.1:9/v1")), conversation)


def test_background_answers_are_there_when_the_server_has_answered() -> None:
    allowed = threading.Event()

    def answering(request: Request) -> tuple[int, Any]:
        allowed.wait(10)
        return 200, completion("Late.")

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        created = (await client.post(URL, json=body())).json()
        assert (await client.get(f"{URL}/{created['id']}")).json()["status"] == "in_progress"
        allowed.set()
        assert text_of(await polled(client, created["id"])) == "Late."
        assert emulator.counts.billed == 1

    conversed(answering, conversation)


def test_only_so_many_are_asked_at_once() -> None:
    open_now, most, lock = [0], [0], threading.Lock()
    together = threading.Barrier(3)

    def answering(request: Request) -> tuple[int, Any]:
        with lock:
            open_now[0] += 1
            most[0] = max(most[0], open_now[0])
        together.wait(10)
        with lock:
            open_now[0] -= 1
        return 200, completion("Hi")

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        created = [await client.post(URL, json=body(input=f"prompt {n}")) for n in range(9)]
        ends = [(await polled(client, answer.json()["id"]))["status"] for answer in created]
        assert ends == ["completed"] * 9

    assert len(conversed(answering, conversation, "?at_once=3")) == 9
    assert most == [3]


def test_an_emulator_that_starts_again_asks_again(tmp_path: Path) -> None:
    release = threading.Event()

    def answering(request: Request) -> tuple[int, Any]:
        if len(server.requests) == 1:
            release.wait(10)
        return 200, completion("Second try.")

    async def begin(client: httpx.AsyncClient, emulator: Emulator) -> str:
        name = str((await client.post(URL, json=body())).json()["id"])
        while not server.requests:
            await asyncio.sleep(0.005)
        return name

    async def go_on(client: httpx.AsyncClient, emulator: Emulator) -> dict[str, Any]:
        return await polled(client, name)

    with model_server(answering) as server:
        settings = EmulatorSettings(replies=load_replies(f"openai:{server.url}"), state=tmp_path / "state.db")
        name = talk(settings, begin)
        assert text_of(talk(settings, go_on)) == "Second try."
        assert text_of(talk(settings, go_on)) == "Second try."
        release.set()
        assert len(server.requests) == 2


def test_a_cancelled_interaction_stays_cancelled() -> None:
    release = threading.Event()

    def answering(request: Request) -> tuple[int, Any]:
        release.wait(10)
        return 200, completion("Too late.")

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        first = (await client.post(URL, json=body())).json()["id"]
        assert (await client.post(f"{URL}/{first}/cancel")).status_code == 200
        release.set()
        second = (await client.post(URL, json=body(input="another"))).json()["id"]
        assert (await polled(client, second))["status"] == "completed"
        assert (await client.get(f"{URL}/{first}")).json()["status"] == "cancelled"

    conversed(answering, conversation, "?at_once=1")


def test_a_stream_waits_for_the_model() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        text = (await client.post(URL, json=body(background=None, stream=True))).text
        assert text.startswith("event: interaction.created")
        assert '"text":"Hello!"' in text
        assert text.endswith("event: done\ndata: [DONE]\n\n")

    conversed(says("Hello!"), conversation)


def test_a_stream_says_why_there_is_no_answer() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        text = (await client.post(URL, json=body(background=None, stream=True))).text
        names = [line[7:] for line in text.splitlines() if line.startswith("event: ")]
        assert names == ["interaction.created", "error", "interaction.completed", "done"]
        assert "out of memory" in text

    conversed(lambda request: (500, {"error": {"message": "out of memory"}}), conversation)


def test_a_stream_can_be_joined_while_the_model_works() -> None:
    release = threading.Event()

    def answering(request: Request) -> tuple[int, Any]:
        release.wait(10)
        return 200, completion("Hello!")

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        name = (await client.post(URL, json=body())).json()["id"]
        joined = asyncio.create_task(client.get(f"{URL}/{name}", params={"stream": "true"}))
        await asyncio.sleep(0)
        release.set()
        assert "interaction.completed" in (await joined).text

    conversed(answering, conversation)


def test_what_is_not_stored_is_answered_too() -> None:
    interaction, _ = asked(says("Hello!"), store=False)
    assert text_of(interaction) == "Hello!"


@pytest.mark.parametrize(
    ("kind", "status"), [("incomplete", "incomplete"), ("no_steps", "completed"), ("failed", "failed")]
)
def test_faults_shape_the_end(kind: str, status: str) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        name = (await client.post(URL, json=body())).json()["id"]
        assert (await polled(client, name))["status"] == status

    conversed(says("Hello! Hello!"), conversation, faults=load_faults(kind))


def test_faults_spoil_a_foreground_answer_that_has_come() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(URL, json=body(background=None))

    assert len(conversed(says("Hello!"), conversation, faults=load_faults("drop_after"))) == 1


def test_what_the_service_would_refuse_is_not_sent() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        wrong = json_format({"type": "array", "minItems": 10**9})
        assert (await client.post(URL, json=body(response_format=wrong))).status_code == 400

    assert conversed(says("?"), conversation) == []


def test_the_quota_counts_what_is_in_flight() -> None:
    release = threading.Event()

    def answering(request: Request) -> tuple[int, Any]:
        release.wait(10)
        return 200, completion("Hi")

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        first = (await client.post(URL, json=body())).json()["id"]
        assert (await client.post(URL, json=body(input="b"))).status_code == 429
        release.set()
        await polled(client, first)
        assert (await client.post(URL, json=body(input="b"))).status_code == 200

    conversed(answering, conversation, in_flight=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parrot", "write synthetic"),
        ("openai:", "write synthetic"),
        ("openai:localhost:8080", "write an address such as"),
        ("openai:http://127.0.0.1:1/v1?at_once=0", "its options are"),
        ("openai:http://127.0.0.1:1/v1?mode=x", "its options are"),
        ("openai:http://me:secret@127.0.0.1:1/v1", "leave name and password out"),
        ("gguf:nothing.gguf", "there is no such file"),
        ("script:nothing.jsonl", "cannot be read"),
    ],
)
def test_replies_that_mean_nothing_are_a_spec_error(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_replies(text)


def test_a_model_server_makes_no_pictures() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        drawn = (await client.post(URL, json=body(background=None, model="gemini-3.1-flash-image"))).json()
        assert "image" in [block["type"] for block in drawn["steps"][-1]["content"]]

    assert conversed(says("A picture."), conversation) == []


def test_usage_of_a_model_server_may_come_late() -> None:
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        name = (await client.post(URL, json=body())).json()["id"]
        assert "usage" not in await polled(client, name)
        clock.now += 5
        assert (await polled(client, name))["usage"]["total_tokens"] > 0

    conversed(says("Hello!"), conversation, faults=load_faults("late_usage=5s"), clock=clock)
