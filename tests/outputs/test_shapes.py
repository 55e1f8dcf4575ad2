from __future__ import annotations

from typing import Any

import pytest

from batchrun.outputs.shapes import (
    Field,
    Kind,
    ListOf,
    Shape,
    Struct,
    answer_columns,
    apart,
    input_kind,
    json_paths,
    shape_of,
)

from .factories import an_object


def one(name: str, shape: Shape) -> Struct:
    return Struct((Field(name, name, shape),))


@pytest.mark.parametrize(
    ("schema", "shape"),
    [
        ({"type": "string"}, Kind.STRING),
        ({"type": "string", "format": "date-time"}, Kind.STRING),
        ({"type": "integer"}, Kind.INTEGER),
        ({"type": "number"}, Kind.NUMBER),
        ({"type": "boolean"}, Kind.BOOLEAN),
        ({"type": ["string", "null"]}, Kind.STRING),
        ({"type": ["integer", "number"]}, Kind.NUMBER),
        ({"type": ["integer", "string"]}, Kind.JSON),
        ({"type": "null"}, Kind.JSON),
        ({"enum": ["a", "b", None]}, Kind.STRING),
        ({"enum": [1, 2]}, Kind.INTEGER),
        ({"enum": [1, 2.5]}, Kind.NUMBER),
        ({"enum": [True, 1]}, Kind.JSON),
        ({"const": "a"}, Kind.STRING),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, Kind.INTEGER),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, Kind.NUMBER),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, Kind.JSON),
        ({"anyOf": [an_object(a="string"), an_object(b="string")]}, Kind.JSON),
        ({"allOf": [{"type": "string"}]}, Kind.STRING),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, Kind.JSON),
        ({"type": "array", "items": {"type": "integer"}}, ListOf(Kind.INTEGER)),
        ({"items": {"type": "integer"}}, ListOf(Kind.INTEGER)),
        ({"type": "array", "items": {}}, ListOf(Kind.JSON)),
        ({"type": "array"}, Kind.JSON),
        ({"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "integer"}}, Kind.JSON),
        ({"type": "object"}, Kind.JSON),
        ({"type": "object", "properties": {}}, Kind.JSON),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, Kind.JSON),
        ({**an_object(a="integer"), "additionalProperties": {"type": "string"}}, Kind.JSON),
        ({**an_object(a="integer"), "patternProperties": {"^x": {}}}, Kind.JSON),
        ({**an_object(a="integer"), "oneOf": [an_object(b="integer")]}, Kind.JSON),
        ({**an_object(a="integer"), "oneOf": [{"required": ["a"]}]}, one("a", Kind.INTEGER)),
        ({**an_object(a="integer"), "additionalProperties": False}, one("a", Kind.INTEGER)),
        ({"properties": {"a": {"type": "integer"}}}, one("a", Kind.INTEGER)),
        ({"type": "date"}, Kind.JSON),
        ({}, Kind.JSON),
        (True, Kind.JSON),
        (None, Kind.JSON),
        ({"type": 7, "anyOf": 3, "enum": "x"}, Kind.JSON),
        ({"type": []}, Kind.JSON),
    ],
)
def test_a_schema_has_the_shape_of_the_values_it_allows(schema: object, shape: Shape) -> None:
    assert shape_of(schema) == shape


def referring(reference: str, **defs: Any) -> dict[str, Any]:
    return {**an_object(a={"$ref": reference, "description": "…"}), "$defs": defs}


@pytest.mark.parametrize(
    ("schema", "shape"),
    [
        (referring("#/$defs/B", B={"type": "integer"}), Kind.INTEGER),
        (referring("#/$defs/x~1y%20z", **{"x/y z": {"type": "string"}}), Kind.STRING),
        (referring("#/$defs/B", B={"$ref": "#/$defs/C"}, C={"type": "boolean"}), Kind.BOOLEAN),
        (referring("#/$defs/B", B={"$ref": "#/$defs/B"}), Kind.JSON),
        (referring("#/$defs/missing"), Kind.JSON),
        (referring("#"), Kind.JSON),
        (referring("#anchor"), Kind.JSON),
        (referring("https://example.com/schema.json"), Kind.JSON),
    ],
)
def test_local_references_are_followed_and_all_others_are_json_text(schema: object, shape: Shape) -> None:
    assert shape_of(schema) == one("a", shape)


def test_recursion_becomes_json_text_where_it_begins_again() -> None:
    node = an_object(value="integer", children={"type": "array", "items": {"$ref": "#/$defs/Node"}})
    shape = shape_of({"$ref": "#/$defs/Node", "$defs": {"Node": node}})
    assert shape == Struct((Field("value", "value", Kind.INTEGER), Field("children", "children", ListOf(Kind.JSON))))


def test_a_small_schema_of_exponential_size_is_cut_short() -> None:
    defs = {f"d{n}": an_object(x={"$ref": f"#/$defs/d{n + 1}"}, y={"$ref": f"#/$defs/d{n + 1}"}) for n in range(40)}
    assert len(json_paths(shape_of({"$ref": "#/$defs/d0", "$defs": defs}).fields)) < 2000  # type: ignore[union-attr]


def test_an_answer_that_is_no_object_is_one_column() -> None:
    assert answer_columns(ListOf(Kind.STRING), ()) == one("output", ListOf(Kind.STRING))


def test_answer_columns_keep_out_of_the_way_of_others_whatever_their_case() -> None:
    shape = shape_of(an_object(key="string", Text="string", output_key="string", total="string"))
    columns = [field.column for field in answer_columns(shape, ("key", "text")).fields]
    assert columns == ["output_key", "output_Text", "output_output_key", "total"]


def test_names_that_differ_in_case_only_are_told_apart_everywhere() -> None:
    assert apart(["a", "A", "a", ""], (), "") == ["a", "A_2", "a_3", "_"]


def test_names_that_no_column_can_have_are_written_as_escapes() -> None:
    assert apart(["\ud800", "a\0b", "line\nend", "naïve نام"], (), "") == [
        "\\ud800",
        "a\\x00b",
        "line\\nend",
        "naïve نام",
    ]


def test_json_paths_name_every_column_of_json_text() -> None:
    shape = shape_of(an_object(a="object", b={"type": "array", "items": an_object(c={}, d="string")}))
    assert json_paths(shape.fields) == ["a", "b[].c"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("types", "kind"),
    [
        ({"integer"}, Kind.INTEGER),
        ({"integer", "null"}, Kind.INTEGER),
        ({"integer", "real"}, Kind.NUMBER),
        ({"real"}, Kind.NUMBER),
        ({"text", "null"}, Kind.STRING),
        ({"true", "false"}, Kind.BOOLEAN),
        ({"text", "integer"}, Kind.JSON),
        ({"object"}, Kind.JSON),
        ({"array"}, Kind.JSON),
        ({"true", "integer"}, Kind.JSON),
        ({"null"}, Kind.STRING),
        (set(), Kind.STRING),
    ],
)
def test_an_input_column_has_the_narrowest_kind_that_holds_its_values(types: set[str], kind: Kind) -> None:
    assert input_kind(types) is kind
