"""Tools that make the model call its client: computer use, and functions that it must look for first."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from batchrun.emulator import Emulator, EmulatorSettings
from tests.emulator.in_process import URL, body, finished, post, talk, text_of
from tests.emulator.test_functions import calls, function

SCREENSHOT = [{"type": "text", "text": '{"url": "https://example.com"}'}]
WEATHER = {**function("get_weather", location={"type": "string"}), "defer_loading": True}
HOTEL = {**function("book_hotel", city={"type": "string"}), "defer_loading": True}
SEARCH = {"type": "tool_search"}
OWN_SEARCH = {
    "type": "tool_search",
    "execution": "client",
    "name": "find_tools",
    "description": "Finds functions",
    "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
}


def kinds(interaction: dict[str, Any]) -> list[str]:
    return [step["type"] for step in interaction["steps"]]


def conversation_with(tools: list[Any], prompt: str, *results: Any) -> list[dict[str, Any]]:
    """The turns of a stateful conversation in which every call of a turn is answered with the next result."""
    asked = body(background=None, input=prompt, tools=tools)

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[dict[str, Any]]:
        turns = [(await client.post(URL, json=asked)).json()]
        for result in results:
            told = [
                {"type": "function_result", "call_id": step["id"], "name": step["name"], "result": result}
                for step in turns[-1]["steps"]
                if step["type"] == "function_call"
            ]
            following = {**asked, "input": told, "previous_interaction_id": turns[-1]["id"]}
            turns.append((await client.post(URL, json=following)).json())
        return turns

    turns: list[dict[str, Any]] = talk(EmulatorSettings(), conversation)
    return turns


@pytest.mark.parametrize(
    ("environment", "actions"),
    [
        ({}, ["open_web_browser", "navigate", "click_at"]),
        ({"environment": "browser"}, ["open_web_browser", "navigate", "click_at"]),
        ({"environment": "mobile"}, ["open_app", "click_at"]),
        ({"environment": "desktop"}, ["click_at", "type_text_at"]),
        ({"excluded_predefined_functions": ["open_web_browser", "click_at"]}, ["navigate"]),
    ],
)
def test_computer_use_asks_for_one_action_after_the_other(environment: dict[str, Any], actions: list[str]) -> None:
    tools = [{"type": "computer_use", **environment}]
    turns = conversation_with(tools, "Open https://example.com/shop and buy it.", *[SCREENSHOT] * len(actions))
    assert [calls(turn)[0][0] for turn in turns[:-1]] == actions
    assert [turn["status"] for turn in turns] == ["requires_action"] * len(actions) + ["completed"]
    assert [kinds(turn) for turn in turns[:-1]] == [["thought", "function_call"]] * len(actions)


def test_the_browser_goes_to_the_address_in_the_prompt() -> None:
    tool = {"type": "computer_use", "excluded_predefined_functions": ["open_web_browser"]}
    interaction = finished(input="Open https://example.com/shop and buy it.", tools=[tool])
    assert calls(interaction) == [("navigate", {"url": "https://example.com/shop"})]


def test_without_any_action_left_the_model_just_answers() -> None:
    tool = {"type": "computer_use", "excluded_predefined_functions": ["open_web_browser", "navigate", "click_at"]}
    assert finished(tools=[tool])["status"] == "completed"


def test_tool_choice_none_keeps_the_screen_untouched() -> None:
    fields = {"tools": [{"type": "computer_use"}], "generation_config": {"tool_choice": "none"}}
    assert finished(**fields)["status"] == "completed"


def test_functions_of_the_client_come_before_the_screen_only_if_they_are_named() -> None:
    tools = [function("book_hotel"), {"type": "computer_use"}]
    assert calls(finished(tools=tools, input="Book a hotel"))[0][0] == "book_hotel"
    assert calls(finished(tools=tools, input="Read the news"))[0][0] == "open_web_browser"


def test_a_deferred_function_is_looked_for_before_it_is_called() -> None:
    interaction = finished(tools=[SEARCH, HOTEL, WEATHER], input="What is the weather in Rome?")
    assert kinds(interaction) == ["thought", "tool_search_call", "tool_search_result", "function_call"]
    call, result = interaction["steps"][1], interaction["steps"][2]
    assert call["arguments"] == {"function_names": ["get_weather"]}
    assert (result["call_id"], result["result"]) == (call["id"], [WEATHER])
    assert calls(interaction) == [("get_weather", {"location": "Rome"})]
    assert interaction["status"] == "requires_action"


def test_a_search_without_functions_finds_none() -> None:
    interaction = finished(tools=[SEARCH])
    assert kinds(interaction) == ["thought", "tool_search_call", "tool_search_result", "model_output"]
    assert interaction["steps"][2]["result"] == []


def test_the_answer_to_a_function_result_needs_no_search() -> None:
    turns = conversation_with([SEARCH, WEATHER], "What is the weather in Rome?", "sunny")
    assert kinds(turns[1]) == ["thought", "model_output"]


def test_what_was_looked_for_may_come_back() -> None:
    user = {"type": "user_input", "content": "Hi"}
    asked = {"background": None, "store": False, "tools": [SEARCH, WEATHER]}
    first = post(**asked, input=[user]).json()
    result = {"type": "function_result", "call_id": first["steps"][-1]["id"], "result": "sunny"}
    assert post(**asked, input=[user, *first["steps"], result]).status_code == 200


def test_a_search_of_the_client_brings_the_functions_that_are_called_then() -> None:
    turns = conversation_with([OWN_SEARCH], "What is the weather in Rome?", [WEATHER], "sunny")
    assert [[name for name, _ in calls(turn)] for turn in turns] == [["find_tools"], ["get_weather"], []]
    assert set(calls(turns[0])[0][1]) <= {"query"}
    assert calls(turns[1])[0][1] == {"location": "Rome"}
    assert "sunny" in text_of(turns[2])
