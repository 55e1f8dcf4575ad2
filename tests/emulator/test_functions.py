"""Function calling: which functions are called, in how many rounds, and what a client must send back."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from batchrun.emulator import Emulator, EmulatorSettings
from batchrun.emulator.places import places_in
from tests.emulator.in_process import URL, body, finished, post, talk, text_of


def function(name: str, **properties: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": {"type": "object", "properties": properties}}


TEMPERATURE = function("get_current_temperature", location={"type": "string", "description": "The city name"})
TIME = function("get_local_time", location={"type": "string"})
FLIGHTS = function("search_flights", destination={"type": "string"})
HOTEL = function("book_hotel", city={"type": "string"})


def calls(interaction: dict[str, Any]) -> list[tuple[str, Any]]:
    steps = [step for step in interaction["steps"] if step["type"] == "function_call"]
    return [(step["name"], step["arguments"]) for step in steps]


def results(interaction: dict[str, Any], result: Any = "22 degrees") -> list[dict[str, Any]]:
    return [
        {"type": "function_result", "call_id": step["id"], "name": step["name"], "result": result}
        for step in interaction["steps"]
        if step["type"] == "function_call"
    ]


def test_the_place_in_the_question_is_the_argument() -> None:
    interaction = finished(input="What is the temperature in London?", tools=[TEMPERATURE])
    assert interaction["status"] == "requires_action"
    assert calls(interaction) == [("get_current_temperature", {"location": "London"})]


def test_several_places_are_asked_for_at_once() -> None:
    interaction = finished(input="What is the temperature in London, Paris and New York?", tools=[TEMPERATURE])
    assert [arguments["location"] for _, arguments in calls(interaction)] == ["London", "Paris", "New York"]
    identities = {step["id"] for step in interaction["steps"] if step["type"] == "function_call"}
    assert len(identities) == 3


def test_several_functions_are_called_at_once_when_the_words_name_them() -> None:
    interaction = finished(input="Temperature and local time in Oslo?", tools=[TIME, TEMPERATURE, HOTEL])
    assert [name for name, _ in calls(interaction)] == ["get_current_temperature", "get_local_time"]


def test_then_makes_it_two_rounds() -> None:
    asked = body(input="Search flights to Rome, then book a hotel in Rome.", tools=[HOTEL, FLIGHTS], background=None)

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        turns = [(await client.post(URL, json=asked)).json()]
        for _ in range(2):
            following = {**asked, "input": results(turns[-1]), "previous_interaction_id": turns[-1]["id"]}
            turns.append((await client.post(URL, json=following)).json())
        return turns

    turns = talk(EmulatorSettings(), conversation)
    assert [[name for name, _ in calls(turn)] for turn in turns] == [["search_flights"], ["book_hotel"], []]
    assert [turn["status"] for turn in turns] == ["requires_action", "requires_action", "completed"]


def test_the_answer_tells_what_the_function_answered() -> None:
    asked = body(input="What is the temperature in London?", tools=[TEMPERATURE], background=None)

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> Any:
        first = (await client.post(URL, json=asked)).json()
        told = results(first, [{"type": "text", "text": '{"temperature": "22"}'}])
        return (await client.post(URL, json={**asked, "input": told, "previous_interaction_id": first["id"]})).json()

    last = talk(EmulatorSettings(), conversation)
    assert last["status"] == "completed"
    assert 'get_current_temperature answered: {"temperature": "22"}' in text_of(last)


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("auto", ["get_current_temperature"]),
        ("any", ["get_current_temperature"]),
        ("validated", ["get_current_temperature"]),
        ("none", []),
        ({"allowed_tools": {"mode": "any", "tools": ["book_hotel"]}}, ["book_hotel"]),
    ],
)
def test_tool_choice_decides(choice: Any, names: list[str]) -> None:
    interaction = finished(
        input="What is the temperature in London?",
        tools=[TEMPERATURE, HOTEL],
        generation_config={"tool_choice": choice},
    )
    assert [name for name, _ in calls(interaction)] == names


def test_tools_are_not_remembered_from_one_turn_to_the_next() -> None:
    asked = body(input="What is the temperature in London?", tools=[TEMPERATURE], background=None)

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> Any:
        first = (await client.post(URL, json=asked)).json()
        again = {
            **asked,
            "tools": None,
            "previous_interaction_id": first["id"],
            "input": "And the temperature in Oslo?",
        }
        return (await client.post(URL, json=again)).json()

    assert talk(EmulatorSettings(), conversation)["status"] == "completed"


def _stateless(change: Any) -> httpx.Response:
    """The answer to a stateless second turn whose history was changed."""
    user = {"type": "user_input", "content": "What is the temperature in London and Paris?"}
    asked = body(background=None, store=False, tools=[TEMPERATURE], input=[user])

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> httpx.Response:
        first = (await client.post(URL, json=asked)).json()
        history = change([user, *first["steps"], *results(first)])
        return await client.post(URL, json={**asked, "input": history})

    answer: httpx.Response = talk(EmulatorSettings(), conversation)
    return answer


def _edited(kind: str, **fields: Any) -> Any:
    """Changes the first step of a type."""

    def change(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        at = next(index for index, step in enumerate(steps) if step["type"] == kind)
        return [*steps[:at], {**steps[at], **fields}, *steps[at + 1 :]]

    return change


def test_a_stateless_history_that_comes_back_untouched_is_taken() -> None:
    answer = _stateless(lambda steps: steps)
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_edited("function_call", arguments={"location": "Rome"}), "invalid_request"),
        (_edited("function_call", id="call_other"), "invalid_request"),
        (_edited("function_result", call_id="call_other"), "invalid_request"),
        (_edited("thought", signature=""), "missing_thought_signature"),
        (lambda steps: [step for step in steps if step["type"] != "thought"], "missing_thought_signature"),
        (lambda steps: steps[:-1], "invalid_request"),
    ],
    ids=["arguments", "id", "call_id", "empty signature", "no thought", "a result missing"],
)
def test_a_stateless_history_that_was_changed_is_refused(change: Any, code: str) -> None:
    answer = _stateless(change)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_older_models_take_function_calls_without_thoughts() -> None:
    history = [
        {"type": "user_input", "content": "Hi"},
        {"type": "function_call", "id": "c", "name": "look", "arguments": {}},
        {"type": "function_result", "call_id": "c", "result": "x"},
    ]
    assert post(input=history, model="gemini-2.5-flash").status_code == 200
    assert post(input=history).json()["error"]["code"] == "missing_thought_signature"


@pytest.mark.parametrize("keep", [slice(0, 1), slice(0, 0)])
def test_every_call_of_a_stored_interaction_needs_its_result(keep: slice) -> None:
    asked = body(input="What is the temperature in London and Paris?", tools=[TEMPERATURE], background=None)

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> httpx.Response:
        first = (await client.post(URL, json=asked)).json()
        given = results(first)[keep] or [{"type": "function_result", "call_id": "call_x", "result": "x"}]
        return await client.post(URL, json={**asked, "input": given, "previous_interaction_id": first["id"]})

    answer = talk(EmulatorSettings(), conversation)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("Weather in New York, Rio de Janeiro and Köln", ["New York", "Rio de Janeiro", "Köln"]),
        ("from Oslo to Bergen", ["Oslo", "Bergen"]),
        ("nothing to see in here", []),
        ("", []),
    ],
)
def test_places_are_capitalised_words_after_a_preposition(text: str, places: list[str]) -> None:
    assert places_in(text) == places
