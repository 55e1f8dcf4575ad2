"""What a model server is asked for an interaction, and how its answer comes back."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchrun.emulator import Emulator
from batchrun.emulator.replies import scans
from tests.emulator.in_process import URL, body, json_format, text_of
from tests.emulator.model_server import Request, completion, says
from tests.emulator.model_talk import asked, conversed

SCHEMA = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="


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


def test_types_in_upper_case_become_those_of_json_schema() -> None:
    kind = {"type": ["STRING", "NULL"], "enum": ["OBJECT"]}
    given = {
        "type": "OBJECT",
        "properties": {"type": kind, "rows": {"type": "ARRAY", "prefixItems": [{"type": "INTEGER"}]}},
    }
    request = asked(says("{}"), response_format=json_format(given))[1]
    assert request["response_format"]["json_schema"]["schema"] == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "enum": ["OBJECT"]},
            "rows": {"type": "array", "prefixItems": [{"type": "integer"}]},
        },
    }
    assert '{"type":"object","properties"' in request["messages"][0]["content"]


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
CALLABLE = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}
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


@pytest.mark.parametrize(
    ("choice", "forwarded"),
    [("auto", None), ("validated", None), ("any", "required"), ("none", "none")],
)
def test_the_choice_of_tools_is_forwarded(choice: str, forwarded: str | None) -> None:
    _, request = asked(says("Hi"), tools=[TOOL], generation_config={"tool_choice": choice})
    assert request.get("tool_choice") == forwarded


def test_only_the_allowed_functions_are_offered() -> None:
    choice = {"allowed_tools": {"mode": "any", "tools": ["listen"]}}
    listen = {**TOOL, "name": "listen", "parameters": {"type": "OBJECT"}}
    _, request = asked(says("Hi"), tools=[TOOL, listen], generation_config={"tool_choice": choice})
    assert request["tools"] == [
        {"type": "function", "function": {**CALLABLE, "name": "listen", "parameters": {"type": "object"}}}
    ]
    assert request["tool_choice"] == "required"
