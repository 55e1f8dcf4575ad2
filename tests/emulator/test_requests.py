"""What the emulator accepts and what it refuses, and by which name."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrun.emulator import Emulator, EmulatorSettings
from tests.emulator.in_process import URL, body, finished, json_format, post, talk
from tests.emulator.media_files import document

TEXT = {"type": "text", "text": "Hello"}
PDF = document("Hello")
FUNCTION = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize(
    "value",
    [
        "Hello",
        TEXT,
        [TEXT, PDF],
        {"type": "user_input", "content": [TEXT]},
        [{"type": "user_input", "content": "Hello"}],
        [{"type": "user_input", "content": [TEXT]}, {"type": "model_output", "content": [TEXT]}],
        [{"type": "user_input", "content": "Hi"}, {"type": "thought", "signature": "RXZF"}],
        [{"type": "function_result", "call_id": "c", "result": {"a": 1}}],
        [{"type": "function_result", "call_id": "c", "result": "22 degrees", "is_error": False}],
        [{"type": "function_result", "call_id": "c", "result": [TEXT]}],
        [{"type": "function_result", "call_id": "c", "result": [{"type": "function", "name": "look"}]}],
        [{"type": "video", "uri": "https://www.youtube.com/watch?v=1"}],
    ],
)
def test_every_form_of_input_is_understood(value: Any) -> None:
    assert post(input=value).status_code == 200


@pytest.mark.parametrize(
    "value",
    [
        "",
        [],
        7,
        ["Hello"],
        {},
        {"type": "file", "uri": "x"},
        [TEXT, {"type": "user_input", "content": "Hello"}],
        [{"role": "user", "content": "Hello"}],
        {"type": "text"},
        {"type": "text", "text": 7},
        {"type": "image", "mime_type": "image/png"},
        {"type": "image", "data": "!!", "mime_type": "image/png"},
        {"type": "image", "data": "aGk=", "uri": "gs://a/b", "mime_type": "image/png"},
        {"type": "image", "data": "aGk="},
        {"type": "document", "data": "aGk=", "mime_type": "text/plain"},
        [{"type": "user_input", "content": [{"type": "thought"}]}],
        [{"type": "function_call", "id": "1", "name": "look", "arguments": "no object"}],
        [{"type": "function_result", "result": "without an id"}],
        [{"type": "function_result", "call_id": "c", "result": ["no block"]}],
        [{"type": "function_result", "call_id": "c", "result": [{"type": []}]}],
        [{"type": "function_result", "call_id": "c", "result": [{"type": "thought"}]}],
        [{"type": "function_result", "call_id": "c", "result": [{"type": "function"}]}],
        [{"type": "function_result", "call_id": "c", "result": "x", "is_error": "maybe"}],
    ],
)
def test_an_input_that_means_nothing_is_refused(value: Any) -> None:
    answer = post(input=value)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


def test_a_thought_without_its_signature_is_refused() -> None:
    answer = post(input=[{"type": "user_input", "content": "Hi"}, {"type": "thought"}])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "missing_thought_signature")


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"contents_": []}, "contents_"),
        ({"generation_config": {"top_k": 1}}, "top_k"),
        ({"input": {**TEXT, "txet": "x"}}, "txet"),
        ({"input": {"type": "user_input", "content": "Hi", "context": "x"}}, "context"),
        ({"input": [{"type": "function_result", "call_id": "c", "result": "x", "error": "x"}]}, "error"),
        ({"tools": [{**FUNCTION, "nmae": "x"}]}, "nmae"),
        ({"response_format": {"type": "text", "schmea": {}}}, "schmea"),
    ],
)
def test_an_unknown_field_is_refused_by_name(fields: dict[str, Any], name: str) -> None:
    error = post(**fields).json()["error"]
    assert error["code"] == "parameter_unknown"
    assert repr(name) in error["message"]


RESEARCH: dict[str, Any] = {"model": None, "agent": "deep-research-pro-preview-12-2025"}
ANTIGRAVITY: dict[str, Any] = {"model": None, "agent": "antigravity-preview-09-2026", "environment": "remote"}


@pytest.mark.parametrize(
    "fields",
    [
        {"model": None},
        {"agent": "deep-research-pro-preview-12-2025"},
        {"input": None},
        {"model": 7},
        {"store": False},
        {"store": "yes"},
        {"service_tier": "cheap"},
        {"service_tier": "deferred", "background": None},
        {"background": None, "webhook_config": {"uris": ["https://example.com"]}},
        {"model": "gemini-3.6-flash", "generation_config": {"temperature": 0}},
        {"model": "gemini-4-argon", "generation_config": {"temperature": 0}},
        {"generation_config": {"thinking_level": "much"}},
        {"generation_config": {"max_output_tokens": 0}},
        {"generation_config": {"tool_choice": "maybe"}},
        {"agent_config": {"type": "dynamic"}},
        {"response_format": {"type": "image", "mime_type": "image/png"}},
        {"response_format": {"type": "object", "properties": {}}},
        {"response_format": json_format({"type": "array", "minItems": 10**9})},
        {"response_format": json_format({"type": "number", "minimum": 2, "maximum": 1})},
        {"response_format": json_format({"$ref": "#"})},
        {"response_format": json_format({"$ref": "http://example.com/schema"})},
        {"response_format": json_format({"type": "object", "properties": 7})},
        {"response_format": {"type": "text", "mime_type": "text/plain", "schema": {}}},
        {"tools": [{"type": "hammer"}]},
        {"tools": [{"type": "function"}]},
        {"tools": [{"type": "function", "name": "look", "parameters": {"type": "object", "required": []}}]},
        {"continuation_token": "abc", "input": None},
        {**RESEARCH, "background": None},
        {**RESEARCH, "system_instruction": "Be brief."},
        {**RESEARCH, "tools": [FUNCTION]},
        {**RESEARCH, "response_format": json_format({"type": "object"})},
        {**RESEARCH, "generation_config": {"seed": 1}},
        {**ANTIGRAVITY, "environment": None},
        {**ANTIGRAVITY, "tools": [{"type": "google_maps"}]},
    ],
)
def test_a_request_that_breaks_a_rule_is_refused(fields: dict[str, Any]) -> None:
    answer = post(**fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("fields", [RESEARCH, ANTIGRAVITY, {"model": "gemini-3.5-flash", "store": None}])
def test_agents_and_models_are_served(fields: dict[str, Any]) -> None:
    assert post(**fields).status_code == 200


def test_a_new_sandbox_gets_an_id_and_a_known_one_keeps_it() -> None:
    made = post(**ANTIGRAVITY).json()["environment_id"]
    assert post(**{**ANTIGRAVITY, "environment": made}).json()["environment_id"] == made


@pytest.mark.parametrize("name", ["gpt 4", "", "-x"])
def test_a_model_that_cannot_exist_is_not_found(name: str) -> None:
    answer = post(model=name)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    "labels", [{"row": ""}, {"batchrun-intent": "br1-abc_2"}, {"ردیف": "یک"}, {"a" * 63: "1" * 63}]
)
def test_labels_of_the_grammar_are_accepted(labels: dict[str, str]) -> None:
    assert post(labels=labels).json()["labels"] == labels


@pytest.mark.parametrize(
    "labels",
    [{"Row": "a"}, {"row": "A"}, {"1row": "a"}, {"": "a"}, {"row": "a b"}, {"a" * 64: "a"}, {"row": 1}, [], "a"],
)
def test_labels_outside_the_grammar_are_refused(labels: Any) -> None:
    assert post(labels=labels).status_code == 400


def test_a_null_field_counts_as_absent() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> int:
        return (await client.post(URL, json={**body(), "agent": None, "tools": None})).status_code

    assert talk(EmulatorSettings(), conversation) == 200


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"model": "\xc3"}',
        b'{"input": NaN}',
        b'{"model": "m", "input": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 200 + b"1" + b"}" * 200,
        b'{"model": 1' + b"0" * 10_000 + b"}",
        b"\x1f\x8b\x08\x00",
    ],
)
def test_a_malformed_body_gets_an_envelope(content: bytes) -> None:
    answer = _send(content)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters())
    | st.sampled_from(["text"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    "model agent input system_instruction tools generation_config agent_config response_format labels environment "
    "previous_interaction_id store background stream service_tier safety_settings webhook_config"
)
KNOWN = (
    "type",
    "text",
    "content",
    "data",
    "mime_type",
    "schema",
    "name",
    "parameters",
    "enum",
    "items",
    "$ref",
    "anyOf",
)
SHAPED = st.recursive(
    JSON | st.sampled_from(["text", "user_input", "function", "application/json", "object", "array", "string", "#"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KNOWN), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_bytes_make_it_stumble(content: bytes) -> None:
    _check_envelope(_send(content))


@given(st.dictionaries(st.sampled_from(FIELDS.split()), SHAPED, max_size=4))
@settings(max_examples=400, deadline=None)
def test_no_json_makes_it_stumble(fields: dict[str, Any]) -> None:
    request = {"model": "gemini-3.5-flash", "input": "Hello", **fields}
    _check_envelope(_send(json.dumps(request).encode()))


@given(SHAPED)
@settings(max_examples=400, deadline=None)
def test_no_schema_makes_it_stumble(schema: Any) -> None:
    request = {"model": "gemini-3.5-flash", "input": "Hello", "response_format": json_format(schema)}
    _check_envelope(_send(json.dumps(request).encode()))


def _send(content: bytes) -> httpx.Response:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> httpx.Response:
        return await client.post(URL, content=content)

    answer: httpx.Response = talk(EmulatorSettings(), conversation)
    return answer


def _check_envelope(answer: httpx.Response) -> None:
    assert answer.status_code < 500 or answer.status_code == 501
    if answer.status_code != 200:
        assert answer.json()["error"]["message"]


def test_function_tools_make_the_interaction_ask_for_a_call() -> None:
    interaction = finished(tools=[FUNCTION])
    assert interaction["status"] == "requires_action"
    call = interaction["steps"][-1]
    assert (call["type"], call["name"]) == ("function_call", "look")
    assert isinstance(call["arguments"], dict)


@pytest.mark.parametrize(
    "fields",
    [
        {"generation_config": {"tool_choice": "none"}},
        {"input": [{"type": "function_result", "call_id": "c", "name": "look", "result": "a dog"}]},
        {"generation_config": {"tool_choice": {"allowed_tools": {"mode": "auto", "tools": ["other"]}}}},
    ],
)
def test_no_call_is_asked_for_when_none_is_due(fields: dict[str, Any]) -> None:
    assert finished(tools=[FUNCTION], **fields)["status"] == "completed"
