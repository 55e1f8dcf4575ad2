"""The tools that run on the server: their steps, citations, signatures and what they cost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.emulator.in_process import body, finished, json_format, post

OLD = "gemini-2.5-flash"
SEARCH = {"type": "google_search"}
STORE = {"type": "file_search", "file_search_store_names": ["fileSearchStores/mine"]}
MCP = {"type": "mcp_server", "name": "tracker", "url": "https://example.com/mcp"}


def kinds(interaction: dict[str, Any]) -> list[str]:
    return [step["type"] for step in interaction["steps"]]


def step(interaction: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(step for step in interaction["steps"] if step["type"] == kind)
    return found


@pytest.mark.parametrize(
    ("tool", "name", "model", "prompt"),
    [
        (SEARCH, "google_search", "gemini-3.5-flash", "Who won the euro 2024?"),
        ({"type": "code_execution"}, "code_execution", "gemini-3.5-flash", "Sum of the first 50 primes?"),
        (
            {"type": "url_context"},
            "url_context",
            "gemini-3.5-flash",
            "Compare https://a.example and https://b.invalid/x.",
        ),
        ({"type": "google_maps", "enable_widget": True}, "google_maps", "gemini-3.5-flash", "Cafes near Rome and Oslo"),
        (STORE, "file_search", "gemini-3.5-flash", "What is the notice period?"),
        (MCP, "mcp_server_tool", OLD, "Which tickets are open?"),
        ({"type": "retrieval"}, "retrieval", "gemini-3.5-flash", "What is the notice period?"),
        ({"type": "bash"}, "code_execution", "gemini-3.5-flash", "Sum of the first 50 primes?"),
        ({"type": "filesystem"}, "code_execution", "gemini-3.5-flash", "Which files are there?"),
    ],
)
def test_a_tool_leaves_a_call_and_its_result(tool: Any, name: str, model: str, prompt: str) -> None:
    interaction = finished(tools=[tool], model=model, input=prompt)
    assert kinds(interaction) == ["thought", f"{name}_call", f"{name}_result", "model_output"]
    call, result = step(interaction, f"{name}_call"), step(interaction, f"{name}_result")
    assert result["call_id"] == call["id"]
    assert interaction["status"] == "completed"
    assert interaction["usage"]["total_tool_use_tokens"] > 0


def test_every_store_that_is_searched_is_cited() -> None:
    stores = ["fileSearchStores/mine", "fileSearchStores/yours"]
    interaction = finished(tools=[{**STORE, "file_search_store_names": stores}], input="Notice period?")
    block = step(interaction, "model_output")["content"][0]
    cited = {note["source"]: note for note in block["annotations"]}
    assert list(cited) == stores
    assert {note["type"] for note in cited.values()} == {"file_citation"}
    for store, note in cited.items():
        assert note["document_uri"].startswith(f"{store}/documents/")
        assert note["page_number"] >= 1
        assert store in block["text"].encode()[note["start_index"] : note["end_index"]].decode()


@pytest.mark.parametrize(
    ("fields", "kind", "cited"),
    [
        ({}, "vertex_ai_search", "file_citation"),
        ({"retrieval_types": ["rag_store"]}, "rag_store", "file_citation"),
        ({"retrieval_types": ["exa_ai_search", "rag_store"]}, "exa_ai_search", "url_citation"),
        ({"parallel_ai_search_config": {}}, "parallel_ai_search", "url_citation"),
    ],
)
def test_retrieval_says_where_it_looked_and_is_counted(fields: dict[str, Any], kind: str, cited: str) -> None:
    interaction = finished(tools=[{"type": "retrieval", **fields}], input="Notice period?")
    call = step(interaction, "retrieval_call")
    assert (call["retrieval_type"], call["arguments"]) == (kind, {"queries": ["Notice period?"]})
    assert step(interaction, "model_output")["content"][0]["annotations"][0]["type"] == cited
    assert interaction["usage"]["grounding_tool_count"] == [{"type": "retrieval", "count": 1}]


@pytest.mark.parametrize("prompt", ["Who won the euro 2024?", "چه کسی یورو ۲۰۲۴ را برد؟", "誰が勝ちましたか 🏆"])
def test_citations_count_bytes_of_utf8(prompt: str) -> None:
    output = step(finished(tools=[SEARCH], input=prompt), "model_output")["content"][0]
    plain = output["text"].encode()
    cited = [plain[note["start_index"] : note["end_index"]].decode() for note in output["annotations"]]
    assert [text.startswith("[emulated] Source") and prompt in text for text in cited] == [True, True]
    assert {note["type"] for note in output["annotations"]} == {"url_citation"}


def test_a_search_shows_suggestions_and_is_counted() -> None:
    interaction = finished(tools=[SEARCH], input="<b>Who</b> won?")
    queries = step(interaction, "google_search_call")["arguments"]["queries"]
    suggestions = step(interaction, "google_search_result")["result"][0]["search_suggestions"]
    assert "&lt;b&gt;Who" in suggestions
    assert interaction["usage"]["grounding_tool_count"] == [{"type": "google_search", "count": len(queries)}]


def test_tool_tokens_stand_beside_the_sum() -> None:
    usage = finished(tools=[SEARCH])["usage"]
    parts = ("total_input_tokens", "total_output_tokens", "total_thought_tokens")
    assert usage["total_tokens"] == sum(usage[part] for part in parts)
    assert usage["tool_use_tokens_by_modality"] == [{"modality": "text", "tokens": usage["total_tool_use_tokens"]}]


def test_a_page_that_cannot_exist_is_not_read() -> None:
    interaction = finished(tools=[{"type": "url_context"}], input="See https://a.example/x, https://b.invalid.")
    result = step(interaction, "url_context_result")["result"]
    assert [(page["url"], page["status"]) for page in result] == [
        ("https://a.example/x", "success"),
        ("https://b.invalid", "error"),
    ]
    notes = step(interaction, "model_output")["content"][0]["annotations"]
    assert [note["url"] for note in notes] == ["https://a.example/x"]


def test_the_code_that_is_shown_prints_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    interaction = finished(tools=[{"type": "code_execution"}], input="Run code for the first 20 prime numbers")
    exec(step(interaction, "code_execution_call")["arguments"]["code"], {})  # noqa: S102  our own three lines
    assert capsys.readouterr().out == step(interaction, "code_execution_result")["result"]


def test_only_the_tools_that_the_prompt_calls_for_are_used() -> None:
    tools = [{"type": "code_execution"}, {"type": "url_context"}, SEARCH]
    used = [kind for kind in kinds(finished(tools=tools, input="Read https://a.example")) if kind.endswith("_call")]
    assert used == ["url_context_call", "google_search_call"]


def test_structured_output_stays_json_and_is_cited_as_a_whole() -> None:
    schema = {"type": "object", "properties": {"winner": {"type": "string"}}, "required": ["winner"]}
    output = step(finished(tools=[SEARCH], response_format=json_format(schema)), "model_output")["content"][0]
    assert set(json.loads(output["text"])) == {"winner"}
    assert {note["end_index"] for note in output["annotations"]} == {len(output["text"].encode())}


def test_a_cut_answer_has_no_citations_of_what_is_gone() -> None:
    output = step(finished(tools=[SEARCH], generation_config={"max_output_tokens": 5}), "model_output")["content"][0]
    assert "annotations" not in output


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [MCP]},
        {"tools": [{"type": "mcp_server", "name": "x"}], "model": OLD},
        {"tools": [{"type": "file_search"}]},
        {"tools": [{"type": "file_search", "file_search_store_names": []}]},
        {"tools": [{"type": "file_search", "file_search_store_names": ["notes"]}]},
        {"tools": [{"type": "file_search", "file_search_store_names": ["fileSearchStores/"]}]},
        {"tools": [{**STORE, "top_k": 0}]},
        {"tools": [{"type": "google_maps", "latitude": 91}]},
        {"tools": [{"type": "hammer"}]},
        {"tools": [{"type": "google_search", "search_types": ["gossip"]}]},
    ],
)
def test_a_tool_that_cannot_be_used_is_refused(fields: dict[str, Any]) -> None:
    answer = post(**fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


def test_an_unknown_tool_is_refused_with_the_known_ones() -> None:
    message = post(tools=[{"type": "hammer"}]).json()["error"]["message"]
    assert all(name in message for name in ("google_search", "mcp_server", "bash", "filesystem"))


def test_tool_steps_come_back_as_they_were() -> None:
    first = finished(tools=[SEARCH], store=False)
    user = [{"type": "user_input", "content": body()["input"]}]
    following = [*user, *first["steps"], {"type": "user_input", "content": "And now?"}]
    assert post(input=following, background=None, store=False).status_code == 200
    changed = [{**one, "result": []} if one["type"] == "google_search_result" else one for one in following]
    assert post(input=changed, background=None, store=False).status_code == 400


def test_a_stream_tells_tool_steps_and_annotations() -> None:
    text = post(tools=[SEARCH], background=None, stream=True).text
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    deltas = [event["delta"]["type"] for event in events if event["event_type"] == "step.delta"]
    assert [kind for kind in deltas if kind.startswith("google")] == ["google_search_call", "google_search_result"]
    assert deltas[-1] == "text_annotation_delta"
    starts = [event["step"] for event in events if event["event_type"] == "step.start"]
    assert [start["type"] for start in starts] == kinds(finished(tools=[SEARCH]))
