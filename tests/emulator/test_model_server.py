"""`openai:URL` lets a model server answer: what it is asked, what becomes of its answers, what happens without it."""

from __future__ import annotations

import asyncio
import threading
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.emulator import Emulator, EmulatorSettings, load_faults, load_replies
from batchrun.emulator.replies import scans
from batchrun.emulator.replies.chat import NotUnderstood, outcome_from
from batchrun.emulator.views import tail_of
from batchrun.errors import SpecError
from tests.emulator.in_process import URL, Clock, body, json_format, talk, text_of
from tests.emulator.model_server import Answering, Request, completion, model_server, says

SCHEMA = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
Conversation = Callable[[httpx.AsyncClient, Emulator], Awaitable[Any]]


def conversed(answering: Answering, conversation: Conversation, options: str = "", **settings: Any) -> list[Request]:
    """What the model server was asked in a conversation with the emulator."""
    with model_server(answering) as server:
        replies = load_replies(f"openai:{server.url}{options}")
        talk(EmulatorSettings(replies=replies, **settings), conversation)
        return server.requests


def asked(answering: Answering, options: str = "", **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A foreground interaction, and what the model server was asked for it."""
    answers: list[dict[str, Any]] = []

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        answer = await client.post(URL, json=body(background=None, **fields))
        assert answer.status_code == 200, answer.text
        answers.append(answer.json())

    requests = conversed(answering, conversation, options)
    return answers[0], requests[0]


async def polled(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    while True:
        interaction: dict[str, Any] = (await client.get(f"{URL}/{name}")).json()
        if interaction["status"] != "in_progress":
            return interaction
        await asyncio.sleep(0.005)


def test_text_is_forwarded_and_answered() -> None:
    usage = {
        "prompt_tokens": 12,
        "completion_tokens": 9,
        "total_tokens": 21,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    interaction, request = asked(says("Hello!", usage=usage), input="Hi", system_instruction="Be brief.")
    assert (interaction["status"], text_of(interaction)) == ("completed", "Hello!")
    assert interaction["usage"] == {
        "total_tokens": 21,
        "total_input_tokens": 12,
        "total_cached_tokens": 4,
        "total_output_tokens": 4,
        "total_thought_tokens": 5,
    }
    assert request["path"] == "/v1/chat/completions"
    assert request["model"] == "gemini-3.5-flash"
    assert request["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]


def test_the_model_can_be_named() -> None:
    _, request = asked(says("Hi"), "?model=qwen2.5:1.5b&at_once=2")
    assert request["model"] == "qwen2.5:1.5b"


def test_usage_that_the_server_does_not_tell_is_counted() -> None:
    interaction, _ = asked(says("Hello!"))
    assert interaction["usage"]["total_output_tokens"] == 2
    assert interaction["usage"]["total_input_tokens"] == 8


def test_a_schema_is_a_grammar_and_is_shown_to_the_model() -> None:
    interaction, request = asked(says('{"total": 3}'), response_format=json_format(SCHEMA))
    assert text_of(interaction) == '{"total": 3}'
    assert request["response_format"]["type"] == "json_schema"
    assert request["response_format"]["json_schema"]["schema"] == SCHEMA
    assert '"required":["total"]' in request["messages"][0]["content"]


def test_json_without_a_schema_is_a_json_object() -> None:
    form = {"type": "text", "mime_type": "application/json"}
    assert asked(says("{}"), response_format=form)[1]["response_format"] == {"type": "json_object"}


def test_settings_have_their_other_names() -> None:
    settings = {"max_output_tokens": 50, "seed": 3, "stop_sequences": ["END"], "temperature": 0.5, "top_p": 0.9}
    _, request = asked(says("Hi"), generation_config=settings)
    wanted = {"max_tokens": 50, "seed": 3, "stop": ["END"], "temperature": 0.5, "top_p": 0.9}
    assert {name: request.get(name) for name in wanted} == wanted


def test_images_are_forwarded() -> None:
    picture = {"type": "image", "data": PIXEL, "mime_type": "image/png"}
    _, request = asked(says("A dot."), input=[{"type": "text", "text": "What is it?"}, picture])
    address = f"data:image/png;base64,{PIXEL}"
    assert request["messages"][0]["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": address}},
    ]


def document(content: bytes, mime: str = "application/pdf") -> dict[str, Any]:
    return {"type": "document", "data": b64encode(content).decode(), "mime_type": mime}


def a_pdf(text: str) -> bytes:
    from fpdf import FPDF

    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("Helvetica", size=12)
    if text:
        pdf.cell(text=text)
    return bytes(pdf.output())


def test_documents_are_given_by_their_text_layer() -> None:
    _, request = asked(says("12"), input=[{"type": "text", "text": "Total?"}, document(a_pdf("Total due: 12.50"))])
    assert request["messages"][0]["content"] == "Total?\n\nTotal due: 12.50"


def test_a_table_is_given_as_it_is() -> None:
    _, request = asked(says("2"), input=[document(b"a,b\n1,2\n", "text/csv")])
    assert "a,b\n1,2" in request["messages"][0]["content"]


def test_a_scan_without_anybody_to_read_it_fails_its_interaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        interaction = (await client.post(URL, json=body(background=None, input=[document(a_pdf(""))]))).json()
        assert interaction["status"] == "failed"
        assert "install tesseract" in interaction["errors"][0]["message"]

    assert conversed(says("?"), conversation) == []


def test_a_scan_is_read_by_the_program_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "tesseract"
    program.write_text('#!/bin/sh\nhead -c 2\necho " of $1 to $2"\ncat > /dev/null\n')
    program.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda name: str(program))
    _, request = asked(says("?"), input=[document(a_pdf(""))])
    assert request["messages"][0]["content"] == "P5 of - to -\n"


def test_pages_are_drawn_in_grey() -> None:
    (page,) = scans.drawn(a_pdf("Total"))
    head, _, pixels = page.partition(b" 255\n")
    width, height = map(int, head.split()[1:])
    assert len(pixels) == width * height
    assert min(pixels) < 100 < max(pixels)


def test_a_whole_chain_is_sent() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        first = (await client.post(URL, json=body(background=None, input="I have 2 dogs."))).json()
        more = body(background=None, input="How many paws?", previous_interaction_id=first["id"])
        assert (await client.post(URL, json=more)).json()["status"] == "completed"

    assert conversed(says("Eight."), conversation)[1]["messages"] == [
        {"role": "user", "content": "I have 2 dogs."},
        {"role": "assistant", "content": "Eight."},
        {"role": "user", "content": "How many paws?"},
    ]


TOOL = {"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "dogs"}'}}


def test_functions_are_offered_called_and_answered() -> None:
    def answering(request: Request) -> tuple[int, Any]:
        if request["messages"][-1]["role"] == "tool":
            return 200, completion("Two.")
        return 200, completion(None, "tool_calls", tool_calls=[CALL])

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        first = (await client.post(URL, json=body(background=None, tools=[TOOL]))).json()
        assert first["status"] == "requires_action"
        call = first["steps"][-1]
        assert (call["type"], call["id"], call["arguments"]) == ("function_call", "c1", {"at": "dogs"})
        result = [{"type": "function_result", "call_id": "c1", "name": "look", "result": {"dogs": 2}}]
        more = body(background=None, tools=[TOOL], input=result, previous_interaction_id=first["id"])
        assert text_of((await client.post(URL, json=more)).json()) == "Two."

    first, second = conversed(answering, conversation)
    assert first["tools"][0]["function"]["name"] == "look"
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "tool"]
    assert second["messages"][2] == {"role": "tool", "tool_call_id": "c1", "content": '{"dogs":2}'}


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
