"""Which functions a model calls and when: decided by rule from the user's words, so all rehearsals are alike.

All declared functions that the words name are called at once, one after the other where a "then" stands between them; a
function that takes a place is called for every place named. If none is named, the first declared one is called. A tool
search that the client runs is called before them, the actions of computer use one by one after them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from batchrun.emulator.answers import dump
from batchrun.emulator.draws import digest
from batchrun.emulator.places import places_in
from batchrun.emulator.prompts import Prompt
from batchrun.emulator.replies import synthetic
from batchrun.emulator.rules.request import Order
from batchrun.emulator.rules.steps import Step
from batchrun.emulator.tools.computer import actions_for
from batchrun.emulator.tools.loading import client_search

Past = Callable[[], list[Step]]
_MOST_CALLS = 10
_VERBS = frozenset({"get", "set", "find", "list", "fetch", "make", "create", "run", "call", "show", "current", "new"})
_THEN = re.compile(r"\b(?:then|after that|afterwards|finally)\b", re.IGNORECASE)
_PLACE = re.compile(r"location|city|place|country|town|destination|region|address", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One call to make. `at` is where the words name the function."""

    function: Mapping[str, Any]
    at: int
    arguments: Mapping[str, Any]


def due_calls(order: Order, prompt: Prompt, past: Past) -> list[Step]:
    """The function_call steps of this turn; empty if the model answers instead."""
    mode, names = _allowed(order)
    if mode == "none":
        return []
    answering = order.steps[-1]["type"] == "function_result"
    steps = [*past(), *order.steps] if answering else order.steps
    rounds = _planned(order.tools, steps, names)
    made = max(_rounds_made(steps), 1) if answering else 0
    if made >= len(rounds):
        if mode != "any" or not rounds:
            return []
        made = len(rounds) - 1
    return [_call(wanted, prompt, number) for number, wanted in enumerate(rounds[made][:_MOST_CALLS])]


def results_told(order: Order) -> str:
    """What the functions answered, in words, for the end of the model's answer; empty if they did not."""
    results = [step for step in order.steps if step["type"] == "function_result"]
    return "".join(f" {step.get('name') or 'The function'} answered: {_short(step['result'])}." for step in results)


def _short(result: Any) -> str:
    if isinstance(result, list):
        result = " ".join(block["text"] for block in result if block["type"] == "text")
    text = result if isinstance(result, str) else dump(result).decode()
    return text[:400]


def allowed_functions(order: Order) -> tuple[str, list[Mapping[str, Any]]]:
    """The mode of `tool_choice`, and the declared functions that it leaves."""
    mode, names = _allowed(order)
    functions = (tool for tool in order.tools if tool["type"] == "function")
    return mode, [tool for tool in functions if _is_in(names, tool)]


def _allowed(order: Order) -> tuple[str, list[str] | None]:
    """The mode of `tool_choice`, and the names that it allows, None for all."""
    choice = order.generation.get("tool_choice")
    allowed = choice.get("allowed_tools") or {} if isinstance(choice, dict) else {"mode": choice}
    return allowed.get("mode") or "auto", allowed.get("tools") or None


def _planned(tools: list[Mapping[str, Any]], steps: list[Step], names: list[str] | None) -> list[list[_Wanted]]:
    """What is called in each round of the turn."""
    question, search = _question(steps), client_search(tools)
    functions = [tool for tool in (*tools, *_found(steps)) if tool["type"] == "function" and _is_in(names, tool)]
    actions = [_Wanted({"name": name}, 0, arguments) for name, arguments in actions_for(tools, question)]
    rounds = _rounds(question, functions, always=not actions)
    searching = [] if search is None else [list(_by_place(question, _Wanted(search, 0, {})))]
    return [*searching, *rounds, *([action] for action in actions if _is_in(names, action.function))]


def _is_in(names: list[str] | None, function: Mapping[str, Any]) -> bool:
    return names is None or function["name"] in names


def _found(steps: Iterable[Step]) -> Iterator[Mapping[str, Any]]:
    """The functions that a tool search of the client has found."""
    for step in steps:
        if step["type"] == "function_result" and isinstance(step["result"], list):
            yield from (block for block in step["result"] if block["type"] == "function")


def _question(steps: list[Step]) -> str:
    """The user's last words."""
    inputs = [step for step in steps if step["type"] == "user_input"]
    blocks = inputs[-1]["content"] if inputs else []
    return "\n".join(block["text"] for block in blocks if block["type"] == "text")


def _rounds_made(steps: list[Step]) -> int:
    """How often functions were called since the user's last words; parallel calls are one round."""
    rounds, before = 0, ""
    for step in steps:
        kind = step["type"]
        rounds = 0 if kind == "user_input" else rounds + (kind == "function_call" and before != kind)
        before = kind
    return rounds


def _rounds(question: str, functions: list[Mapping[str, Any]], *, always: bool) -> list[list[_Wanted]]:
    """The rounds of calls to declared functions; `always` calls the first one where none is named."""
    named = sorted(_named(question, functions), key=lambda wanted: wanted.at)
    if not named:
        return [list(_by_place(question, _Wanted(functions[0], 0, {})))] if functions and always else []
    rounds: list[list[_Wanted]] = [[]]
    for before, wanted in zip([None, *named], named, strict=False):
        if before is not None and _THEN.search(question, before.at, wanted.at):
            rounds.append([])
        rounds[-1].extend(_by_place(question, wanted))
    return rounds


def _named(question: str, functions: list[Mapping[str, Any]]) -> Iterator[_Wanted]:
    """The functions that the words name; of two that are named by the same word, the first."""
    taken: set[int] = set()
    for function in functions:
        at = _place_of_name(question, function["name"])
        if at is not None and at not in taken:
            taken.add(at)
            yield _Wanted(function, at, {})


def _place_of_name(question: str, name: str) -> int | None:
    words = [word.lower() for word in re.split(r"[^\w]+|_+|(?<=[a-z])(?=[A-Z])", name[:80]) if word]
    telling = [word for word in words if word not in _VERBS and len(word) > 2] or words
    found = (re.search(rf"(?<!\w){re.escape(word)}", question, re.IGNORECASE) for word in telling)
    return min((match.start() for match in found if match), default=None)


def _by_place(question: str, wanted: _Wanted) -> Iterator[_Wanted]:
    """The same call for every place that is named, if the function takes one."""
    properties = (wanted.function.get("parameters") or {}).get("properties")
    fields = properties if isinstance(properties, dict) else {}
    field = next((name for name, schema in fields.items() if _PLACE.search(name) and _is_text(schema)), None)
    places = places_in(question) if field else []
    if field is None or not places:
        yield wanted
        return
    for place in places:
        yield _Wanted(wanted.function, wanted.at, {field: place})


def _is_text(schema: object) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "string" and "enum" not in schema


def _call(wanted: _Wanted, prompt: Prompt, number: int) -> Step:
    key = digest("call", prompt.key, number)
    written = synthetic.arguments(prompt.text, key, wanted.function.get("parameters"))
    return {
        "type": "function_call",
        "id": f"call_{key.hex()[:16]}",
        "name": wanted.function["name"],
        "arguments": {**written, **wanted.arguments},
    }
