"""Answers are read by the vendor's own client types: nothing falls back to a variant that they do not know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from google.genai import interactions, types
from pydantic import BaseModel, TypeAdapter

from batchrun.emulator import Emulator, EmulatorSettings
from tests.emulator.in_process import URL, body, talk
from tests.emulator.test_files import uploaded

MCP = {"type": "mcp_server", "name": "tracker", "url": "https://example.com/mcp"}
RESEARCH = {
    "type": "deep-research",
    "thinking_summaries": "auto",
}
REQUESTS: dict[str, dict[str, Any]] = {
    "text": {},
    "thoughts": {"generation_config": {"thinking_summaries": "auto"}},
    "function": {"tools": [{"type": "function", "name": "look"}]},
    "google_search": {"tools": [{"type": "google_search"}]},
    "google_maps": {"tools": [{"type": "google_maps", "enable_widget": True}]},
    "url_context": {"tools": [{"type": "url_context"}], "input": "https://a.example"},
    "code_execution": {"tools": [{"type": "code_execution"}]},
    "file_search": {"tools": [{"type": "file_search", "file_search_store_names": ["fileSearchStores/a"]}]},
    "retrieval": {"tools": [{"type": "retrieval", "retrieval_types": ["rag_store"]}]},
    "tool_search": {"tools": [{"type": "tool_search"}, {"type": "function", "name": "look", "defer_loading": True}]},
    "computer_use": {"tools": [{"type": "computer_use", "environment": "browser"}]},
    "bash": {"tools": [{"type": "bash"}, {"type": "filesystem"}]},
    "mcp_server": {"tools": [MCP], "model": "gemini-2.5-flash"},
    "antigravity": {"model": None, "agent": "antigravity-preview-09-2026", "environment": "remote"},
    "research": {
        "model": None,
        "agent": "deep-research-preview-04-2026",
        "input": "Rents, with charts",
        "agent_config": RESEARCH,
    },
    "continuation": {"input": "A long story", "labels": {"limited": "yes"}},
    "failed": {"labels": {"emulate-fault": "failed"}},
}


def unknown(value: object, where: str = "") -> Iterator[str]:
    """Where the client met something that it does not know."""
    if isinstance(value, BaseModel):
        if getattr(value, "is_unknown", False):
            yield where
        for name in type(value).model_fields:
            yield from unknown(getattr(value, name, None), f"{where}.{name}")
        for name, extra in (value.model_extra or {}).items():
            yield from unknown(extra, f"{where}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown(item, f"{where}[{index}]")


def limits(fields: dict[str, Any]) -> EmulatorSettings:
    return EmulatorSettings(decode_limit=20 if "limited" in fields.get("labels", {}) else None)


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_client_knows_everything_in_an_interaction(name: str) -> None:
    fields = REQUESTS[name]
    background = True if name == "research" else None

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> Any:
        created = (await client.post(URL, json=body(**{"background": background, **fields}))).json()
        return (await client.get(f"{URL}/{created['id']}", params={"include_input": "true"})).json()

    document = talk(limits(fields), conversation)
    interaction = interactions.Interaction.model_validate(document)
    assert list(unknown(interaction)) == []
    types_seen = [type(step).__name__ for step in interaction.steps or ()]
    assert not [kind for kind in types_seen if kind.startswith("Unknown")]
    assert [step.type for step in interaction.steps or ()] == [step["type"] for step in document.get("steps", ())]


@pytest.mark.parametrize("name", sorted(set(REQUESTS) - {"research"}))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_client_knows_every_event_of_a_stream(name: str) -> None:
    fields = REQUESTS[name]

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> str:
        return (await client.post(URL, json=body(background=None, stream=True, **fields))).text

    text = talk(limits(fields), conversation)
    adapter: TypeAdapter[Any] = TypeAdapter(interactions.InteractionSSEEvent)
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    for event in events:
        assert list(unknown(adapter.validate_python(event))) == [], event


def test_the_client_knows_a_file() -> None:
    file = talk(EmulatorSettings(), lambda client, emulator: uploaded(client))
    known = types.File._from_response(response=file, kwargs={})
    assert (known.name, known.state, known.size_bytes) == (file["name"], types.FileState.ACTIVE, 26)
    assert known.source is types.FileSource.UPLOADED
