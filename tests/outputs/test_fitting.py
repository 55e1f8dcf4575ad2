from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.outputs.fitting import fit, misfits
from batchrun.outputs.shapes import Kind, ListOf, Shape, Struct, shape_of
from batchrun.outputs.table import arrow_type

from .factories import an_object


@pytest.mark.parametrize(
    ("value", "schema", "place"),
    [
        (2**63, {"type": "integer"}, "$"),
        (-(2**63) - 1, {"type": "integer"}, "$"),
        (1.5, {"type": "integer"}, "$"),
        (1e300, {"type": "integer"}, "$"),
        (True, {"type": "integer"}, "$"),
        (2**53 + 1, {"type": "number"}, "$"),
        (10**400, {"type": "number"}, "$"),
        (True, {"type": "number"}, "$"),
        (1, {"type": "boolean"}, "$"),
        (1, {"type": "string"}, "$"),
        ({"a": [{"b": 0}, {"b": 2**64}]}, an_object(a={"items": an_object(b="integer")}), "$.a[1].b"),
        ({"a": "x"}, an_object(a={"items": {}}), "$.a"),
        ([], an_object(a="string"), "$"),
    ],
)
def test_a_value_its_column_cannot_hold_is_reported_with_its_place(value: object, schema: object, place: str) -> None:
    (message,) = misfits(value, shape_of(schema))
    assert message.startswith(f"{place}: ")


@pytest.mark.parametrize(
    ("value", "kind", "stored"),
    [
        (2**63 - 1, Kind.INTEGER, 2**63 - 1),
        (3.0, Kind.INTEGER, 3),
        (3, Kind.NUMBER, 3.0),
        (10**19, Kind.NUMBER, 1e19),
        (10**40, Kind.JSON, "1" + "0" * 40),
        ("\ud800é\0", Kind.STRING, "\\ud800é\0"),
        ({"é": "\ud800"}, Kind.JSON, '{"é":"\\ud800"}'),
        (None, Kind.JSON, None),
    ],
)
def test_a_value_that_fits_is_stored_exactly(value: object, kind: Kind, stored: object) -> None:
    assert fit(value, kind) == (stored, [])


def test_long_values_are_cut_in_messages() -> None:
    assert len(misfits("x" * 10_000, Kind.INTEGER)[0]) < 120


scalar_schemas: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{"type": name} for name in ("string", "integer", "number", "boolean", "null", "object")]
    + [
        {"type": ["integer", "null"]},
        {"type": ["string", "number"]},
        {},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
    ]
)
names = st.sampled_from(["a", "A", "", "b.c", "\ud800", "key", "نام", "x\0y"])
schemas = st.recursive(
    scalar_schemas,
    lambda inner: st.one_of(
        inner.map(lambda items: {"type": "array", "items": items}),
        st.dictionaries(names, inner, max_size=4).map(lambda p: {"type": "object", "properties": p}),
    ),
    max_leaves=6,
)
texts = st.text(st.characters(exclude_categories=()), max_size=5)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=3,
)


def values_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """JSON values that `schema`, made by `schemas`, allows."""
    if "type" not in schema:
        return st.none() | texts if "anyOf" in schema else anything
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of([_values_of_type(name, schema) for name in types])


def _values_of_type(name: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    properties = schema.get("properties", {})
    return {
        "string": texts,
        "integer": st.integers() | st.integers(-(2**63), 2**63 - 1) | st.integers().map(float),
        "number": st.integers() | st.floats(allow_nan=False, allow_infinity=False),
        "boolean": st.booleans(),
        "null": st.none(),
        "array": st.lists(values_of(schema["items"]), max_size=3) if "items" in schema else anything,
        "object": st.fixed_dictionaries({}, optional={n: values_of(p) for n, p in properties.items()}),
    }[name]


def from_column(stored: Any, shape: Shape) -> Any:
    """What a reader of the column takes the value to be."""
    if stored is None:
        return None
    if isinstance(shape, Struct):
        return {field.name: from_column(stored[field.column], field.shape) for field in shape.fields}
    if isinstance(shape, ListOf):
        return [from_column(part, shape.item) for part in stored]
    return json.loads(stored) if shape is Kind.JSON else stored


def as_declared(value: Any, shape: Shape) -> Any:
    """`value` with absent properties as nulls and lone surrogates as escapes, the two documented differences."""
    if isinstance(shape, Struct) and value is not None:
        return {field.name: as_declared(value.get(field.name), field.shape) for field in shape.fields}
    if isinstance(shape, ListOf) and value is not None:
        return [as_declared(part, shape.item) for part in value]
    return value.encode("utf-8", "backslashreplace").decode() if shape is Kind.STRING and value is not None else value


@given(st.data())
def test_any_value_valid_for_a_schema_comes_back_from_its_column_or_is_a_misfit(data: st.DataObject) -> None:
    schema = data.draw(schemas)
    shape, value = shape_of(schema), data.draw(values_of(schema))
    stored, problems = fit(value, shape)
    (read,) = pa.array([stored], arrow_type(shape)).to_pylist()
    assert problems or from_column(read, shape) == as_declared(value, shape)


@given(schemas, anything)
def test_any_value_at_all_can_be_stored_once_its_misfits_are_null(schema: dict[str, Any], value: object) -> None:
    shape = shape_of(schema)
    stored, _ = fit(value, shape)
    assert len(pa.array([stored], arrow_type(shape))) == 1
