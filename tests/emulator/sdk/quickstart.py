"""Every section of the quickstart with the vendor's Python client, whichever version runs this file.

Usage: python quickstart.py BASE_URL PICTURE_FILE [SECTION ...]. Prints one JSON line for each section: its name and
what went wrong, null if nothing did. It runs in virtual environments that have the client and nothing else.
"""

from __future__ import annotations

import base64
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from google import genai

MODEL = "gemini-3.5-flash"
AGENT = "antigravity-preview-09-2026"
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
TOOLS = [
    {"type": "google_search"},
    {"type": "google_maps"},
    {"type": "url_context"},
    {"type": "code_execution"},
    {"type": "file_search", "file_search_store_names": ["fileSearchStores/notes"]},
    {"type": "mcp_server", "name": "forecasts", "url": "https://example.com/mcp"},
    {"type": "retrieval", "retrieval_types": ["vertex_ai_search"]},
]
SECTIONS: dict[str, Callable[..., None]] = {}


def section(function: Callable[..., None]) -> Callable[..., None]:
    SECTIONS[function.__name__] = function
    return function


@section
def text(client: Any, picture: Path) -> None:
    done = client.interactions.create(model=MODEL, input="Explain how AI works in a few words")
    expect(done, "completed")
    assert done.output_text
    assert done.usage.total_tokens == sum(
        getattr(done.usage, f"total_{kind}_tokens") for kind in ("input", "output", "thought")
    )


@section
def streaming(client: Any, picture: Path) -> None:
    events = list(client.interactions.create(model=MODEL, input="Explain how AI works", stream=True))
    for event in events:
        check(event)
    kinds = [event.event_type for event in events]
    assert (kinds[0], kinds[-1]) == ("interaction.created", "interaction.completed"), kinds
    assert {"step.start", "step.delta", "step.stop"} < set(kinds)
    assert "".join(piece for event in events for piece in texts(event))


def texts(event: Any) -> Iterator[str]:
    delta = getattr(event, "delta", None)
    if delta is not None and delta.type == "text":
        yield delta.text


@section
def conversation_on_the_server(client: Any, picture: Path) -> None:
    first = client.interactions.create(model=MODEL, input="I have 2 dogs in my house.")
    second = client.interactions.create(
        model=MODEL, input="How many paws are in my house?", previous_interaction_id=first.id
    )
    expect(second, "completed")
    assert second.previous_interaction_id == first.id


@section
def conversation_on_the_client(client: Any, picture: Path) -> None:
    history: list[Any] = [said("I have 2 dogs in my house.")]
    first = client.interactions.create(model=MODEL, input=history, store=False)
    history += [dumped(step) for step in first.steps]
    history.append(said("How many paws are in my house?"))
    expect(client.interactions.create(model=MODEL, input=history, store=False), "completed")


def said(words: str) -> dict[str, Any]:
    return {"type": "user_input", "content": [{"type": "text", "text": words}]}


def dumped(step: Any) -> Any:
    return step.model_dump(exclude_none=True) if hasattr(step, "model_dump") else step


@section
def media(client: Any, picture: Path) -> None:
    data = base64.b64encode(picture.read_bytes()).decode()
    sound = "https://storage.googleapis.com/generativeai-downloads/data/sample.mp3"
    done = client.interactions.create(
        model=MODEL,
        input=[
            {"type": "text", "text": "Compare this local image and this remote audio file."},
            {"type": "image", "data": data, "mime_type": "image/png"},
            {"type": "audio", "uri": sound, "mime_type": "audio/mp3"},
        ],
    )
    expect(done, "completed")
    assert {"text", "image", "audio"} <= {part.modality for part in done.usage.input_tokens_by_modality}


@section
def image_generation(client: Any, picture: Path) -> None:
    done = client.interactions.create(model="gemini-3.1-flash-image", input="A futuristic city skyline at sunset")
    expect(done, "completed")
    drawn = next(block for step in done.steps for block in content(step) if block.type == "image")
    assert base64.b64decode(drawn.data)[:3] in (b"\x89PN", b"\xff\xd8\xff")


def content(step: Any) -> list[Any]:
    return getattr(step, "content", None) or []


@section
def structured_output(client: Any, picture: Path) -> None:
    schema = {
        "type": "object",
        "properties": {
            "recipe_name": {"type": "string", "description": "Name of the recipe."},
            "ingredients": {"type": "array", "items": {"type": "string"}, "description": "List of ingredients."},
            "prep_time_minutes": {"type": "integer", "description": "Prep time in minutes."},
        },
        "required": ["recipe_name", "ingredients"],
    }
    form = {"type": "text", "mime_type": "application/json", "schema": schema}
    done = client.interactions.create(model=MODEL, input="Give me a recipe for banana bread", response_format=form)
    expect(done, "completed")
    recipe = json.loads(done.output_text)
    assert isinstance(recipe["recipe_name"], str)
    assert all(isinstance(item, str) for item in recipe["ingredients"])


@section
def search_with_citations(client: Any, picture: Path) -> None:
    done = client.interactions.create(model=MODEL, input="Who won the euro 2024?", tools=[{"type": "google_search"}])
    expect(done, "completed")
    kinds = [step.type for step in done.steps]
    assert kinds.index("google_search_call") < kinds.index("google_search_result") < kinds.index("model_output")
    block = next(block for step in done.steps for block in content(step) if block.type == "text")
    citations = [note for note in block.annotations if note.type == "url_citation"]
    said_in_bytes = block.text.encode()
    assert citations
    assert all(note.url and said_in_bytes[note.start_index : note.end_index].decode() for note in citations)


@section
def functions_on_the_server(client: Any, picture: Path) -> None:
    question = "What is the temperature in London?"
    asked = client.interactions.create(model=MODEL, input=question, tools=[TEMPERATURE])
    call = called(asked)
    done = client.interactions.create(
        model=MODEL, previous_interaction_id=asked.id, input=[result_of(call)], tools=[TEMPERATURE]
    )
    expect(done, "completed")


@section
def functions_on_the_client(client: Any, picture: Path) -> None:
    history: list[Any] = [said("What is the temperature in London?")]
    asked = client.interactions.create(model=MODEL, input=history, tools=[TEMPERATURE], store=False)
    history += [*(dumped(step) for step in asked.steps), result_of(called(asked))]
    done = client.interactions.create(model=MODEL, input=history, tools=[TEMPERATURE], store=False)
    expect(done, "completed")


def called(asked: Any) -> Any:
    expect(asked, "requires_action")
    call = next(step for step in asked.steps if step.type == "function_call")
    assert (call.name, call.arguments) == (TEMPERATURE["name"], {"location": "London"})
    return call


def result_of(call: Any) -> dict[str, Any]:
    answer = {"location": "London", "temperature": "22", "unit": "celsius"}
    blocks = [{"type": "text", "text": json.dumps(answer)}]
    return {"type": "function_result", "name": call.name, "call_id": call.id, "result": blocks}


@section
def every_tool_on_the_server(client: Any, picture: Path) -> None:
    for tool in TOOLS:
        question = "Sum the first 50 primes; see https://example.com/a and the map of Paris."
        model = "gemini-2.5-flash" if tool["type"] == "mcp_server" else MODEL
        done = client.interactions.create(model=model, input=question, tools=[tool])
        expect(done, "completed")
        used = [step.type for step in done.steps if step.type.endswith(("_call", "_result"))]
        assert len(used) >= 2, (tool, used)
        check(list(client.interactions.create(model=model, input=question, tools=[tool], stream=True)))


@section
def computer_use(client: Any, picture: Path) -> None:
    tools: list[Any] = [{"type": "computer_use", "environment": "browser"}]
    turn = client.interactions.create(model=MODEL, input="Open https://example.com/a", tools=tools)
    names = []
    while turn.status == "requires_action":
        check(turn)
        call = next(step for step in turn.steps if step.type == "function_call")
        names.append(call.name)
        turn = client.interactions.create(
            model=MODEL, previous_interaction_id=turn.id, input=[result_of(call)], tools=tools
        )
    expect(turn, "completed")
    assert names[:2] == ["open_web_browser", "navigate"]


@section
def speech(client: Any, picture: Path) -> None:
    done = client.interactions.create(
        model="gemini-3.8-flash-tts", input="Say cheerfully: have a wonderful day!", response_format={"type": "audio"}
    )
    expect(done, "completed")
    assert base64.b64decode(done.output_audio.data)


@section
def deep_research(client: Any, picture: Path) -> None:
    created = client.interactions.create(
        agent="deep-research-pro-preview-12-2025", input="Research the history of TPUs.", background=True
    )
    done = created
    while done.status == "in_progress":
        done = client.interactions.get(id=created.id)
    expect(done, "completed")
    assert done.output_text


@section
def managed_agent(client: Any, picture: Path) -> None:
    task = "Write a Python script that generates the first 20 Fibonacci numbers and saves them to fibonacci.txt."
    done = client.interactions.create(agent=AGENT, input=task, environment="remote")
    expect(done, "completed")
    assert done.environment_id
    assert any(step.type == "code_execution_call" for step in done.steps)


@section
def background_with_polling(client: Any, picture: Path) -> None:
    created = client.interactions.create(model=MODEL, input="Write a detailed analysis.", background=True)
    expect(created, "in_progress")
    done = created
    while done.status == "in_progress":
        done = client.interactions.get(id=created.id)
    expect(done, "completed")
    assert done.output_text


@section
def cancel(client: Any, picture: Path) -> None:
    created = client.interactions.create(model=MODEL, input="Write a book.", background=True, labels={"slow": "yes"})
    expect(client.interactions.cancel(id=created.id), "cancelled")
    expect(client.interactions.get(id=created.id), "cancelled")


@section
def delete(client: Any, picture: Path) -> None:
    made = client.interactions.create(model=MODEL, input="Forget me.")
    client.interactions.delete(id=made.id)
    assert status_of(lambda: client.interactions.get(id=made.id)) == 404


def status_of(call: Callable[[], Any]) -> int | None:
    """The HTTP status of the error that a call ends with; None if it works."""
    try:
        call()
    except Exception as error:
        return getattr(error, "status_code", None) or getattr(error, "code", None)
    return None


@section
def file_upload(client: Any, picture: Path) -> None:
    uploaded = client.files.upload(file=str(picture))
    assert uploaded.state.name == "ACTIVE"
    block = {"type": "image", "uri": uploaded.uri, "mime_type": uploaded.mime_type}
    done = client.interactions.create(model=MODEL, input=[{"type": "text", "text": "What is it?"}, block])
    expect(done, "completed")
    assert client.files.get(name=uploaded.name).size_bytes == picture.stat().st_size
    assert uploaded.name in [file.name for file in client.files.list()]
    client.files.delete(name=uploaded.name)
    assert uploaded.name not in [file.name for file in client.files.list()]


def expect(interaction: Any, status: str) -> None:
    assert interaction.status == status, (interaction.status, interaction)
    check(interaction)


def check(value: Any) -> None:
    """Nothing in an answer may be of a kind that the client does not know."""
    if isinstance(value, list | tuple):
        for item in value:
            check(item)
    elif hasattr(value, "model_fields_set"):
        assert not getattr(value, "is_unknown", False), value
        assert not type(value).__name__.startswith("Unknown"), value
        for item in vars(value).values():
            check(item)


def main() -> None:
    url, picture = sys.argv[1], Path(sys.argv[2])
    client = genai.Client(api_key="any-key", http_options={"base_url": url})
    for name in sys.argv[3:] or SECTIONS:
        try:
            SECTIONS[name](client, picture)
            problem = None
        except Exception:
            problem = traceback.format_exc()
        print(json.dumps({"section": name, "problem": problem}), flush=True)


if __name__ == "__main__":
    main()
