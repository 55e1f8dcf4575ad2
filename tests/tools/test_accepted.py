"""Every declaration and result is one that the emulator and Google's own request types take."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.genai import interactions, types
from pydantic import TypeAdapter, ValidationError

from batchrun.emulator import EmulatorSettings
from tests.emulator.in_process import finished, post
from tests.emulator.test_sdk_types import unknown
from tests.tools.conftest import Load
from tests.tools.test_declarations import HINTS, PARTS

SIMPLE = [
    "str", "int", "float", "bool", "dict", "dict[str, int]", "list[list[str]]", "Literal['a']", "Unit", "Point",
    "Wish", "Optional[int]", "Optional[Node] = None", "tuple[int, str]", "datetime.datetime", "int = 5", "set[Unit]",
    "Annotated[int, Field(ge=1, lt=9)]", "Literal['a', None]",
]  # fmt: skip
RESULTS = [
    "'text'",
    "{'a': 1}",
    "{}",
    "[1]",
    "[]",
    "None",
    "[{'type': 'text', 'text': 'a'}]",
    "{'$ref': 1}",
    "object()",
]


@pytest.fixture
def tools(load: Load) -> list[dict[str, Any]]:
    """A declaration for every kind of hint, one with all of them, and one without parameters."""
    hints = [*SIMPLE, *HINTS]
    single = "".join(f"def one_{number}(value: {hint}): 'Does it.'\n" for number, hint in enumerate(hints))
    every = ", ".join(f"p{number}: {hint}" for number, hint in enumerate(hints) if "= " not in hint)
    return load(f"{PARTS}{single}def every({every}): ...\ndef none(): ...\n").declarations


def test_the_emulator_takes_every_declaration(tools: list[dict[str, Any]]) -> None:
    assert len(tools) == len(SIMPLE) + len(HINTS) + 2
    for tool in tools:
        assert post(tools=[tool]).status_code == 200, tool
    assert post(tools=tools).status_code == 200


def test_the_emulator_can_call_every_function_as_declared(tools: list[dict[str, Any]]) -> None:
    for tool in tools:
        interaction = finished(EmulatorSettings(), tools=[tool])
        assert interaction["status"] == "requires_action", tool


@pytest.mark.parametrize("hint", [hint for hint in SIMPLE if not hint.startswith(("tuple", "dict[", "set"))])
def test_what_the_emulator_calls_a_function_with_fits_it(load: Load, hint: str) -> None:
    box = load(f"{PARTS}def work(value: {hint}): return 'ran'\n", "job_functions:work")
    steps = finished(tools=box.declarations, input="Take 5 of it, please.")["steps"]
    [arguments] = [step["arguments"] for step in steps if step["type"] == "function_call"]
    assert asyncio.run(box.call("work", arguments)).result == "ran"


def test_the_client_types_know_every_declaration(tools: list[dict[str, Any]]) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(interactions.Tool)
    for tool in tools:
        known = adapter.validate_python(tool)
        assert type(known).__name__ == "Function"
        assert list(unknown(known)) == []
        assert known.model_dump(exclude_none=True) == tool


def test_the_older_and_narrower_schema_type_takes_every_declaration(tools: list[dict[str, Any]]) -> None:
    for tool in tools:
        types.FunctionDeclaration.model_validate({name: value for name, value in tool.items() if name != "type"})
    with pytest.raises(ValidationError):
        types.FunctionDeclaration.model_validate({"name": "x", "parameters": {"type": "object", "$defs": {}}})


@pytest.mark.parametrize("expression", RESULTS)
def test_results_are_taken_as_function_results(load: Load, expression: str) -> None:
    answer = asyncio.run(load(f"def work(): return {expression}\n").call("work", {}))
    step = {"type": "function_result", "call_id": "c", "result": answer.result, "is_error": answer.is_error}
    assert post(input=[step]).status_code == 200
    known: Any = TypeAdapter(interactions.Step).validate_python(step)
    assert type(known).__name__ == "FunctionResultStep"
    assert list(unknown(known)) == []
