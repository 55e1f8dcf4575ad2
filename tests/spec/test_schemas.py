"""A schema is checked once, validates with bounded work, and fetches nothing."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.errors import SpecError
from batchrun.spec.judging.schemas import OutputSchema

INVOICE = {
    "type": "object",
    "properties": {
        "total": {"type": "number"},
        "date": {"type": "string", "format": "date"},
        "odd name": {"type": "null"},
    },
    "required": ["total"],
    "additionalProperties": False,
}


def test_a_value_that_matches_has_no_problems() -> None:
    assert OutputSchema(INVOICE).problems({"total": 1, "date": "2026-02-28"}) == []


def test_problems_say_where_and_what() -> None:
    schema = OutputSchema(INVOICE)
    assert schema.problems({"total": "x"}) == ['$.total: "x" is not of type "number"']
    assert schema.problems({}) == ['$: "total" is a required property']
    assert schema.problems({"total": 1, "odd name": 2})[0].startswith("$['odd name']: ")
    assert schema.problems({"total": 1, "date": "2026-02-30"}) == ['$.date: "2026-02-30" is not a "date"']
    assert OutputSchema({"items": {"type": "string"}}).problems(["a", 1])[0].startswith("$[1]: ")


def test_at_most_five_short_problems_are_listed() -> None:
    problems = OutputSchema({"items": {"type": "string"}}).problems([["x" * 1000]] * 50)
    assert len(problems) == 5
    assert all(len(problem) < 250 for problem in problems)


def test_the_hash_names_the_content() -> None:
    assert OutputSchema(INVOICE).sha == OutputSchema(dict(reversed(INVOICE.items()))).sha
    assert OutputSchema(INVOICE).sha != OutputSchema({**INVOICE, "required": []}).sha
    assert len(OutputSchema({}).sha) == 64


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"properties": {"a": {"type": 1}}},
        {"$ref": "#/$defs/nowhere"},
        {"$ref": "http://localhost:9/schema.json"},
        {"$ref": "file:///etc/hostname"},
        {"$schema": "https://example.com/unknown"},
        {"pattern": "(a"},
        {"pattern": "(?=a)b"},
        {"pattern": "(((a{100}){100}){100}){100}"},
        {"const": "\ud800"},
        {"const": float("nan")},
        {"const": object()},
    ],
)
def test_an_unusable_schema_is_a_spec_error(schema: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="not a usable JSON Schema"):
        OutputSchema(schema)


def test_a_very_deep_schema_is_a_spec_error() -> None:
    schema: dict[str, Any] = {}
    for _ in range(100_000):
        schema = {"not": schema}
    with pytest.raises(SpecError):
        OutputSchema(schema)


@pytest.mark.parametrize("value", ["\ud800", {"\ud800": 1}, float("nan"), object(), {1: 2, "a": 3}])
def test_a_value_that_is_not_json_has_problems(value: object) -> None:
    assert OutputSchema({}).problems(value)


def test_a_very_deep_value_has_a_problem() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    assert OutputSchema({"items": {"$ref": "#"}}).problems(value) == ["$: nested more than 100 levels deep"]


def test_catastrophic_patterns_take_linear_time() -> None:
    schema = OutputSchema({"type": "string", "pattern": "^(a+)+$"})
    assert schema.problems("a" * 100_000 + "b")


def tree(depth: int) -> dict[str, Any]:
    """A value that a recursive schema with two branches meets 2 ** depth times."""
    return {"child": tree(depth - 1)} if depth else {}


def doubled(depth: int) -> dict[str, Any]:
    """A schema of a few lines that meets its value 2 ** depth times."""
    twice = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(depth)}
    return {"$ref": "#/$defs/d0", "$defs": {**twice, f"d{depth}": {"type": "string"}}}


BRANCHING = {"anyOf": [{"required": [name], "properties": {"child": {"$ref": "#"}}} for name in ("left", "right")]}
MANY = {f"key{n}": "x" * 50 for n in range(3_000)}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (doubled(18), 1),
        (doubled(60), 1),
        (BRANCHING, tree(18)),
        (BRANCHING, tree(90)),
        ({"items": {"anyOf": [{"const": f"x{n}"} for n in range(50)]}}, ["y" * 20] * 10_000),
        ({"anyOf": [{"required": [f"x{n}"]} for n in range(1_000)]}, MANY),
        ({"allOf": [{"required": [f"x{n}"]} for n in range(1_000)]}, MANY),
        ({"items": {"enum": [{"a": n} for n in range(2_000)]}}, [{"b": n} for n in range(3_000)]),
        ({"allOf": [{"contains": {"const": n}} for n in range(200)], "unevaluatedItems": False}, list(range(20_000))),
        ({"items": {"contains": {"type": "string"}}}, [[0] * 20_000] * 50),
        ({"type": "array", "uniqueItems": True}, [{"a": n // 2} for n in range(20_000)]),
        ({"patternProperties": {f"(.*a){{3}}{n}$": {"type": "null"} for n in range(100)}}, MANY | {"aaa7": 1}),
    ],
)
def test_no_schema_and_value_take_long(schema: dict[str, Any], value: object) -> None:
    checked, began = OutputSchema(schema), time.process_time()
    assert checked.problems(value)
    assert time.process_time() - began < 2.0


def test_a_recursive_schema_still_says_where() -> None:
    node = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}, "name": {}}}
    value = {"children": [{"children": [{"name": "x"}] * 500 + [1]}] * 3, "name": "y"}
    assert OutputSchema(node).problems(value)[0] == '$.children[0].children[500]: 1 is not of type "object"'
    assert OutputSchema({"$ref": "#/$defs/node", "$defs": {"node": {"type": "string"}}}).problems("fine") == []


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#name", "$defs": {"x": {"$anchor": "name", "type": "string"}}},
        {"$ref": "#/$defs/a%20b", "$defs": {"a b": {"type": "string"}}},
        {"$ref": "#/$defs/x", "$defs": {"x": {"type": "string", "default": {"$ref": "nowhere"}}}},
        {"type": "string", "properties": {"$ref": {"type": "string"}}},
    ],
)
def test_references_of_all_kinds_are_followed(schema: dict[str, Any]) -> None:
    assert OutputSchema(schema).problems("text") == []
    assert OutputSchema(schema).problems(1) == ['$: 1 is not of type "string"']


def test_a_large_answer_to_a_schema_with_references_is_judged() -> None:
    fields = {f"field{n}": {"type": "string"} for n in range(10)}
    schema = {"items": {"$ref": "#/$defs/item"}, "$defs": {"item": {"type": "object", "properties": fields}}}
    value: list[dict[str, Any]] = [dict.fromkeys(fields, f"text {n}") for n in range(5_000)]
    assert OutputSchema(schema).problems(value) == []
    value[4_000]["field3"] = 3
    assert OutputSchema(schema).problems(value) == ['$[4000].field3: 3 is not of type "string"']


def test_of_a_large_wrong_value_one_problem_is_listed() -> None:
    assert len(OutputSchema({"items": {"type": "string"}}).problems(list(range(100_000)))) == 1


@given(st.recursive(st.none() | st.floats() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)))
def test_any_value_is_judged_without_an_exception(value: object) -> None:
    assert isinstance(OutputSchema(INVOICE).problems(value), list)
