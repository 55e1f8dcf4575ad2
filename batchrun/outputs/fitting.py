"""Puts a JSON value into a shape: the value as its column stores it, and every place where it does not fit. Pure.

The engine asks `misfits` when it validates; the export stores what `fit` returns. One walk serves both, so a value
without misfits is stored as it is and no value is changed silently.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from batchrun.interactions.models import storable
from batchrun.outputs.shapes import Kind, ListOf, Shape, Struct

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

#: Where a value is: (parent place, name or index), () at the top.
_Place = tuple[Any, ...]


def misfits(value: object, shape: Shape) -> list[str]:
    """Why `value` cannot be stored in columns of `shape`, one message a place; empty if it can."""
    return fit(value, shape)[1]


def fit(value: object, shape: Shape) -> tuple[Any, list[str]]:
    """`value` as a column of `shape` stores it, and its misfits; a part that does not fit is stored as null."""
    problems: list[str] = []
    return _fit(value, shape, (), problems), problems


def json_text(value: object) -> str:
    """`value` as compact JSON that UTF-8 can hold; lone surrogates stay what they are, as JSON escapes."""
    return storable(_encode(value))


def _fit(value: object, shape: Shape, place: _Place, problems: list[str]) -> object:
    if value is None:
        return None
    if isinstance(shape, Kind):
        return _SCALARS[shape](value, place, problems)
    if isinstance(shape, Struct):
        return _struct(value, shape, place, problems)
    return _list(value, shape, place, problems)


def _struct(value: object, shape: Struct, place: _Place, problems: list[str]) -> object:
    if not isinstance(value, dict):
        return _misfit(value, "an object", place, problems)
    get = value.get
    return {field.column: _fit(get(field.name), field.shape, (place, field.name), problems) for field in shape.fields}


def _list(value: object, shape: ListOf, place: _Place, problems: list[str]) -> object:
    if not isinstance(value, list):
        return _misfit(value, "an array", place, problems)
    return [_fit(part, shape.item, (place, index), problems) for index, part in enumerate(value)]


def _string(value: object, place: _Place, problems: list[str]) -> object:
    return storable(value) if isinstance(value, str) else _misfit(value, "a string", place, problems)


def _boolean(value: object, place: _Place, problems: list[str]) -> object:
    return value if isinstance(value, bool) else _misfit(value, "true or false", place, problems)


def _integer(value: object, place: _Place, problems: list[str]) -> object:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    return _misfit(value, "an integer of 64 bits", place, problems)


def _number(value: object, place: _Place, problems: list[str]) -> object:
    if type(value) is float:
        return value
    if type(value) is int and _is_double(value):
        return float(value)
    return _misfit(value, "a number that a double holds exactly", place, problems)


def _is_double(value: int) -> bool:
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def _json(value: object, place: _Place, problems: list[str]) -> object:
    return json_text(value)


_SCALARS: dict[Kind, Callable[[object, _Place, list[str]], object]] = {
    Kind.STRING: _string,
    Kind.BOOLEAN: _boolean,
    Kind.INTEGER: _integer,
    Kind.NUMBER: _number,
    Kind.JSON: _json,
}


def _misfit(value: object, wanted: str, place: _Place, problems: list[str]) -> object:
    """Notes the problem and returns what is stored instead: null."""
    shown = json_text(value)
    problems.append(f"{_path(place)}: {shown if len(shown) <= 60 else shown[:57] + '...'} is not {wanted}")
    return None


def _path(place: _Place) -> str:
    if not place:
        return "$"
    parent, last = place
    return f"{_path(parent)}[{last}]" if isinstance(last, int) else f"{_path(parent)}.{last}"
