"""Every request of the API's quickstart, answered as the quickstart shows: status and steps."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from batchrun.emulator import Emulator, EmulatorSettings, parse_latency
from tests.emulator.in_process import URL, Clock, json_format, talk, text_of

MODEL = "gemini-3.5-flash"
SAMPLES = "https://storage.googleapis.com/generativeai-downloads/data"
HEADERS = {"api-revision": "2026-05-20"}
TEMPERATURE = {
    "type": "function",
    "name": "get_current_temperature",
    "description": "Gets the current temperature for a given location.",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string", "description": "The city name"}},
        "required": ["location"],
    },
}
DOGS = {"type": "user_input", "content": "I have 2 dogs in my house."}
PAWS = "How many paws are in my house?"
LONDON = {"type": "user_input", "content": "What is the temperature in London?"}
CALL = {"type": "function_call", "id": "call_abc123", "name": TEMPERATURE["name"], "arguments": {"location": "London"}}
SIGNED = {"type": "thought", "signature": "RXZF"}
RESULT = {
    "type": "function_result",
    "name": TEMPERATURE["name"],
    "call_id": "call_abc123",
    "result": [{"type": "text", "text": '{"location": "London", "temperature": "22", "unit": "celsius"}'}],
}
RECIPE = {
    "type": "object",
    "properties": {
        "recipe_name": {"type": "string", "description": "Name of the recipe."},
        "ingredients": {"type": "array", "items": {"type": "string"}, "description": "List of ingredients."},
        "prep_time_minutes": {"type": "integer", "description": "Prep time in minutes."},
    },
    "required": ["recipe_name", "ingredients"],
}


@dataclass(frozen=True)
class Shown:
    """What a section sends, and what it shows of the answer."""

    body: dict[str, Any]
    steps: tuple[str, ...] = ("thought", "model_output")
    status: str = "completed"
    fields: tuple[str, ...] = field(default=())


SECTIONS = {
    "text": Shown({"model": MODEL, "input": "Explain how AI works in a few words"}),
    "stateless, first turn": Shown({"model": MODEL, "store": False, "input": [DOGS]}),
    "stateless, second turn": Shown(
        {
            "model": MODEL,
            "store": False,
            "input": [
                DOGS,
                SIGNED,
                {"type": "model_output", "content": [{"type": "text", "text": "AI learns patterns from data."}]},
                {"type": "user_input", "content": PAWS},
            ],
        }
    ),
    "multimodal": Shown(
        {
            "model": MODEL,
            "input": [
                {"type": "text", "text": "Compare this local image and this remote audio file."},
                {"type": "image", "data": "/9j/4EpQRUc=", "mime_type": "image/jpeg"},
                {"type": "audio", "uri": f"{SAMPLES}/sample.mp3", "mime_type": "audio/mp3"},
            ],
        }
    ),
    "image": Shown(
        {
            "model": "gemini-3.1-flash-image",
            "input": [{"type": "text", "text": "Generate an image of a futuristic city skyline at sunset"}],
        }
    ),
    "structured output": Shown(
        {"model": MODEL, "input": "Give me a recipe for banana bread", "response_format": json_format(RECIPE)}
    ),
    "search": Shown(
        {"model": MODEL, "input": "Who won the euro 2024?", "tools": [{"type": "google_search"}]},
        ("thought", "google_search_call", "google_search_result", "model_output"),
    ),
    "function call, stateful": Shown(
        {"model": MODEL, "input": "What is the temperature in London?", "tools": [TEMPERATURE]},
        ("thought", "function_call"),
        "requires_action",
    ),
    "function call, stateless": Shown(
        {"model": MODEL, "store": False, "input": [LONDON], "tools": [TEMPERATURE]},
        ("thought", "function_call"),
        "requires_action",
    ),
    "function result, stateless": Shown(
        {"model": MODEL, "store": False, "input": [LONDON, SIGNED, CALL, RESULT], "tools": [TEMPERATURE]}
    ),
    "agent": Shown(
        {
            "agent": "antigravity-preview-05-2026",
            "input": "Write a Python script that generates the first 20 Fibonacci numbers and saves them to "
            "fibonacci.txt. Then read the file and print its contents.",
            "environment": "remote",
        },
        ("thought", *("code_execution_call", "code_execution_result") * 2, "model_output"),
        fields=("environment_id",),
    ),
}


async def asked(client: httpx.AsyncClient, **fields: Any) -> Any:
    answer = await client.post(URL, json=fields, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("shown", SECTIONS.values(), ids=SECTIONS.keys())
def test_a_section_is_answered_as_it_is_shown(shown: Shown) -> None:
    interaction = talk(EmulatorSettings(), lambda client, emulator: asked(client, **shown.body))
    assert interaction["status"] == shown.status
    assert tuple(step["type"] for step in interaction["steps"]) == shown.steps
    assert {"id", "object", "usage", "created", "updated", *shown.fields} <= set(interaction)
    assert interaction["usage"]["total_tokens"] > 0


def test_an_image_comes_as_an_image() -> None:
    interaction = talk(EmulatorSettings(), lambda client, emulator: asked(client, **SECTIONS["image"].body))
    images = [block for block in interaction["steps"][-1]["content"] if block["type"] == "image"]
    assert images[0]["mime_type"].startswith("image/")
    assert len(b64decode(images[0]["data"])) > 100


def test_a_stream_is_told_by_events() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> str:
        body = {"model": MODEL, "input": "Explain how AI works", "stream": True}
        return (await client.post(URL, json=body, params={"alt": "sse"}, headers=HEADERS)).text

    text = talk(EmulatorSettings(), conversation)
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    kinds = [event["event_type"] for event in events]
    assert (kinds[0], kinds[-1]) == ("interaction.created", "interaction.completed")
    assert {"step.start", "step.delta", "step.stop"} <= set(kinds)
    told = [event["delta"]["text"] for event in events if event.get("delta", {}).get("type") == "text"]
    assert "".join(told).startswith("[emulated]")
    assert text.endswith("data: [DONE]\n\n")


def test_a_stateful_conversation_goes_on() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> Any:
        first = await asked(client, model=MODEL, input=DOGS["content"])
        return await asked(client, model=MODEL, input=PAWS, previous_interaction_id=first["id"])

    assert talk(EmulatorSettings(), conversation)["status"] == "completed"


def test_structured_output_is_the_recipe() -> None:
    body = SECTIONS["structured output"].body
    interaction = talk(EmulatorSettings(), lambda client, emulator: asked(client, **body))
    recipe = json.loads(text_of(interaction))
    assert {"recipe_name", "ingredients"} <= set(recipe)
    assert isinstance(recipe["ingredients"], list)


def test_a_search_is_cited() -> None:
    interaction = talk(EmulatorSettings(), lambda client, emulator: asked(client, **SECTIONS["search"].body))
    notes = interaction["steps"][-1]["content"][0]["annotations"]
    assert {"type", "url", "title", "start_index", "end_index"} <= set(notes[0])
    assert interaction["steps"][2]["result"][0]["search_suggestions"].startswith("<div")


def test_a_function_result_ends_the_stateful_call() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        first = await asked(client, **SECTIONS["function call, stateful"].body)
        call = first["steps"][-1]
        told = [{**RESULT, "call_id": call["id"]}]
        return [
            call,
            await asked(client, model=MODEL, previous_interaction_id=first["id"], input=told, tools=[TEMPERATURE]),
        ]

    call, last = talk(EmulatorSettings(), conversation)
    assert (call["name"], call["arguments"]) == ("get_current_temperature", {"location": "London"})
    assert last["status"] == "completed"
    assert '"temperature": "22"' in text_of(last)


def test_a_background_interaction_is_polled_until_it_is_done() -> None:
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        prompt = "Write a detailed analysis of the impact of artificial intelligence on modern healthcare."
        turns = [await asked(client, model=MODEL, input=prompt, background=True)]
        for _ in range(2):
            clock.now += 5
            turns.append((await client.get(f"{URL}/{turns[0]['id']}", headers=HEADERS)).json())
        return turns

    turns = talk(EmulatorSettings(latency=parse_latency("10s"), clock=clock), conversation)
    assert [turn["status"] for turn in turns] == ["in_progress", "in_progress", "completed"]
    assert "steps" not in turns[0]
    assert turns[2]["steps"][-1]["type"] == "model_output"
