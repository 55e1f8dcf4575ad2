"""From a JSON Schema to the shape of the columns that hold its values. Pure; knows nothing of Arrow.

A shape never loses a declared value: what has no exact column (free-form objects, unions that do not agree, recursion,
tuples) is JSON text. Three decisions: `format: date` and `date-time` stay strings, because validators take formats for
comments and a timestamp would drop the offset; properties nobody declared are only in the row's `text`; a property that
is absent and one that is null are the same null.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from urllib.parse import unquote


class Kind(StrEnum):
    """A single value. INTEGER has 64 bits, NUMBER is a double, JSON is any value as JSON text."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of values of one shape."""

    item: Shape


@dataclass(frozen=True, slots=True)
class Field:
    """A property: its name in the JSON and the name of its column, which differ where the first would clash."""

    name: str
    column: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Struct:
    """An object with declared properties."""

    fields: tuple[Field, ...]


Shape = Kind | ListOf | Struct

#: Deeper or wider schemas than these become JSON text from there on.
_MAX_DEPTH = 32
_MAX_FIELDS = 1000

_SCALARS = {
    "string": Kind.STRING,
    "integer": Kind.INTEGER,
    "number": Kind.NUMBER,
    "boolean": Kind.BOOLEAN,
}
_BRANCHES = ("allOf", "anyOf", "oneOf")
_CONDITIONS = (*_BRANCHES, "if", "then", "else", "dependentSchemas")


def shape_of(schema: object) -> Shape:
    """The shape of the values that `schema` (a JSON Schema, local references only) allows; at worst Kind.JSON."""
    return _Reader(schema).shape(schema, ("#",)) or Kind.JSON


def answer_columns(shape: Shape, taken: Iterable[str]) -> Struct:
    """The top-level columns of an answer, named apart from `taken`. An answer that is no object has one, `output`."""
    fields = shape.fields if isinstance(shape, Struct) else (Field("output", "output", shape),)
    names = apart([field.name for field in fields], taken, "output_")
    return Struct(tuple(replace(field, column=name) for field, name in zip(fields, names, strict=True)))


def input_kind(types: Collection[str]) -> Kind:
    """The kind of an input column whose values have these SQLite `json_type` names."""
    found = set(types) - {"null"}
    if found <= {"text"}:
        return Kind.STRING
    if found <= {"true", "false"}:
        return Kind.BOOLEAN
    if found <= {"integer", "real"}:
        return Kind.NUMBER if "real" in found else Kind.INTEGER
    return Kind.JSON


def output_shape(types: Mapping[str, Collection[str]] | None) -> Shape:
    """The shape of outputs whose properties have these SQLite `json_type` names; None: some are no objects."""
    if not types or len(types) > _MAX_FIELDS:
        return Kind.JSON
    return Struct(tuple(Field(name, name, input_kind(found)) for name, found in sorted(types.items())))


def json_paths(fields: Iterable[Field], prefix: str = "") -> list[str]:
    """Dotted paths of the columns that hold JSON text, such as `items[].extra`."""
    return [path for field in fields for path in _json_paths(field.shape, prefix + field.column)]


def _json_paths(shape: Shape, path: str) -> list[str]:
    if isinstance(shape, Struct):
        return json_paths(shape.fields, path + ".")
    if isinstance(shape, ListOf):
        return _json_paths(shape.item, path + "[]")
    return [path] if shape is Kind.JSON else []


def apart(names: Iterable[str], taken: Iterable[str], prefix: str) -> list[str]:
    """Column names for `names`: usable ones, unlike each other and unlike `taken`, whatever the case of their letters.

    A name that clashes gets `prefix`, then a number. Case is ignored because DuckDB and Spark ignore it.
    """
    used = {name.casefold() for name in taken}
    chosen = []
    for name in names:
        column = _unused(usable(name), used, prefix)
        used.add(column.casefold())
        chosen.append(column)
    return chosen


def _unused(name: str, used: set[str], prefix: str) -> str:
    if name.casefold() not in used:
        return name
    column, number = prefix + name, 2
    while column.casefold() in used:
        column, number = f"{prefix}{name}_{number}", number + 1
    return column


def usable(name: str) -> str:
    """`name` with control characters and lone surrogates written as escapes; `_` if it is empty."""
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in name)
    return shown or "_"


class _Reader:
    """Walks one schema. `inside` holds the references being followed; meeting one again is recursion."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._fields = 0

    def shape(self, schema: object, inside: tuple[str, ...]) -> Shape | None:
        """The shape of `schema`; None if it allows nothing but null."""
        if not isinstance(schema, dict) or len(inside) > _MAX_DEPTH:
            return Kind.JSON
        if "$ref" in schema:
            return self._referred(schema, inside)
        types = _types(schema)
        if types is None:
            return self._untyped(schema, inside)
        return self._typed(types - {"null"}, schema, inside)

    def _typed(self, types: set[str], schema: dict[str, Any], inside: tuple[str, ...]) -> Shape | None:
        if not types:
            return None
        if types == {"integer", "number"}:
            return Kind.NUMBER
        name = types.pop() if len(types) == 1 else ""
        if name == "object":
            return self._object(schema, inside)
        if name == "array":
            return self._array(schema, inside)
        return _SCALARS.get(name, Kind.JSON)

    def _untyped(self, schema: dict[str, Any], inside: tuple[str, ...]) -> Shape | None:
        branches = [schema[word] for word in _BRANCHES if word in schema]
        if len(branches) != 1 or not isinstance(branches[0], list):
            return Kind.JSON
        if "allOf" in schema and len(branches[0]) != 1:
            return Kind.JSON
        return _agreed([self.shape(branch, (*inside, "")) for branch in branches[0]])

    def _referred(self, schema: dict[str, Any], inside: tuple[str, ...]) -> Shape | None:
        reference = schema["$ref"]
        if reference in inside or not isinstance(reference, str) or _widens(schema):
            return Kind.JSON
        return self.shape(self._target(reference), (*inside, reference))

    def _target(self, reference: str) -> object:
        pointer, target = reference.removeprefix("#"), self._root
        if reference == pointer or (pointer and not pointer.startswith("/")):
            return None
        for part in pointer.split("/")[1:]:
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            target = target.get(name) if isinstance(target, dict) else None
        return target

    def _array(self, schema: dict[str, Any], inside: tuple[str, ...]) -> Shape:
        items = schema.get("items")
        if not isinstance(items, dict) or "prefixItems" in schema:
            return Kind.JSON
        return ListOf(self.shape(items, (*inside, "")) or Kind.JSON)

    def _object(self, schema: dict[str, Any], inside: tuple[str, ...]) -> Shape:
        properties = schema.get("properties")
        if not isinstance(properties, dict) or not properties or _is_map(schema) or _branches_widen(schema):
            return Kind.JSON
        self._fields += len(properties)
        if self._fields > _MAX_FIELDS:
            return Kind.JSON
        shapes = [self.shape(each, (*inside, "")) or Kind.JSON for each in properties.values()]
        columns = apart(properties, (), "")
        return Struct(tuple(map(Field, properties, columns, shapes)))


def _types(schema: dict[str, Any]) -> set[str] | None:
    """The JSON types a schema names: by `type`, by its values, or by what it says about them; None if it names none."""
    declared = schema.get("type")
    if isinstance(declared, str):
        return {declared}
    if isinstance(declared, list) and declared:
        return {name for name in declared if isinstance(name, str)}
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(values, list) and values:
        return {_type_of(value) for value in values}
    implied = {"properties": "object", "items": "array"}
    return next(({name} for word, name in implied.items() if word in schema), None)


def _type_of(value: object) -> str:
    """The JSON type of a Python value."""
    if value is None:
        return "null"
    types = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return types.get(type(value), "object")


def _agreed(shapes: list[Shape | None]) -> Shape | None:
    """The one shape for a value that has one of these."""
    found = {shape for shape in shapes if shape is not None}
    if found == {Kind.INTEGER, Kind.NUMBER}:
        return Kind.NUMBER
    if len(found) > 1:
        return Kind.JSON
    return next(iter(found), None)


def _is_map(schema: dict[str, Any]) -> bool:
    """True if properties beyond the listed ones are part of the contract."""
    rest = schema.get("additionalProperties")
    return bool(schema.get("patternProperties")) or (isinstance(rest, dict) and bool(rest))


def _widens(schema: dict[str, Any]) -> bool:
    """True if a schema may declare properties of its own."""
    return any(word in schema for word in ("properties", "$dynamicRef", *_CONDITIONS))


def _branches_widen(schema: dict[str, Any]) -> bool:
    """True if conditions of an object schema may declare properties that its own list does not have."""
    for word in _CONDITIONS:
        found = schema.get(word)
        branches = found if isinstance(found, list) else [found]
        if any(isinstance(each, dict) and (_widens(each) or "$ref" in each) for each in branches):
            return True
    return bool(schema.get("dependentSchemas"))
