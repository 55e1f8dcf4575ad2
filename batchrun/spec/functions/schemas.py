"""JSON Schema in the few keywords that every version of the service's function declarations has read. Pure.

References are put in place, and what has no keyword there is said in words, in the description.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

Schema = dict[str, Any]

_KEPT = ("type", "required", "minimum", "maximum", "minItems", "maxItems")
_FORMATS = ("date", "date-time", "time")
#: Keywords that are expressed otherwise, or say nothing to a model.
_DONE = frozenset(
    {"$defs", "title", "description", "anyOf", "oneOf", "discriminator", "enum", "const"}
    | {"items", "prefixItems", "properties", *_KEPT}
)
_OF_VALUES = ("additionalProperties", "propertyNames")
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
_NULL = {"type": "null"}


class Undeclarable(ValueError):
    """A type that the model could not be told."""


def declared(schema: Mapping[str, Any]) -> Schema:
    """The schema as a declaration can have it. Raises Undeclarable where it allows anything at all."""
    return _Reading(schema.get("$defs", {})).plain(schema)


class _Reading:
    """Reads a schema whose references lead into `defs`; `above` are the ones that this part of it is inside of."""

    def __init__(self, defs: Mapping[str, Any], above: tuple[str, ...] = ()) -> None:
        self._defs = defs
        self._above = above

    def plain(self, node: Mapping[str, Any]) -> Schema:
        if "$ref" in node:
            return self._referred(node)
        node = _bounded(node)
        rules = ", ".join(f"{name}: {_text(value)}" for name, value in self._rules(node))
        made = self._typed(node)
        said = [node.get("description"), made.get("description"), rules and f"({rules})"]
        description = " ".join(part for part in said if part)
        return {**made, "description": description} if description else made

    def _typed(self, node: Mapping[str, Any]) -> Schema:
        if "enum" in node or "const" in node:
            return _either(_wanted(list(_choices(node.get("enum", [node.get("const")]))), node))
        if options := node.get("anyOf") or node.get("oneOf"):
            return _either([self.plain(option) for option in _wanted(options, node)])
        if "type" not in node:
            raise Undeclarable("the model needs the type of every value; say more than Any, object or list")
        return self._structure(node)

    def _referred(self, node: Mapping[str, Any]) -> Schema:
        name = node["$ref"].rpartition("/")[2]
        if name in self._above:  # a type that holds itself would have no end
            return {"type": self._defs[name].get("type", "object"), "description": f"Again a {name}, as above."}
        beside = {keyword: value for keyword, value in node.items() if keyword not in ("$ref", "$defs")}
        return _Reading(self._defs, (*self._above, name)).plain({**self._defs[name], **beside})

    def _structure(self, node: Mapping[str, Any]) -> Schema:
        made = {keyword: node[keyword] for keyword in _KEPT if keyword in node and node[keyword] != []}
        if node.get("format") in _FORMATS:
            made["format"] = node["format"]
        if node.get("properties"):
            made["properties"] = {name: self.plain(value) for name, value in node["properties"].items()}
        if node["type"] == "array":
            made["items"] = _either([self.plain(item) for item in node.get("prefixItems") or [node.get("items", {})]])
        return made

    def _rules(self, node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """What the service has no keyword for."""
        for name, value in node.items():
            if name in _OF_VALUES:
                if isinstance(value, dict) and value:
                    yield name, self.plain(value)
            elif name == "format":
                if value not in _FORMATS:
                    yield name, value
            elif name not in _DONE and (name, value) != ("default", None):
                yield name, value
        if "prefixItems" in node:
            yield "in this order", [self.plain(item) for item in node["prefixItems"]]


def _bounded(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Whole numbers above 1 are those from 2 on, for which there is a keyword."""
    low, high = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if node.get("type") != "integer" or low is high is None:
        return node
    bounds = {} if low is None else {"minimum": max(low + 1, node.get("minimum", low + 1))}
    bounds |= {} if high is None else {"maximum": min(high - 1, node.get("maximum", high - 1))}
    return {**{name: value for name, value in node.items() if not name.startswith("exclusive")}, **bounds}


def _wanted(options: list[Schema], node: Mapping[str, Any]) -> list[Schema]:
    """Without null where leaving the value out means the same."""
    leaves_out = "default" in node and node["default"] is None
    return [option for option in options if option != _NULL or not leaves_out] or options


def _either(parts: list[Schema]) -> Schema:
    distinct = [part for index, part in enumerate(parts) if part not in parts[:index]]
    return dict(distinct[0]) if len(distinct) == 1 else {"anyOf": distinct}


def _choices(values: Iterable[Any]) -> Iterator[Schema]:
    """One schema for each JSON type among the values. Booleans and null need no list."""
    for kind, group in groupby(sorted(values, key=_type_name), key=_type_name):
        yield {"type": kind} if kind in ("boolean", "null") else {"type": kind, "enum": list(group)}


def _type_name(value: object) -> str:
    if type(value) not in _TYPES:
        raise Undeclarable(f"choices must be text, numbers, booleans or null, and {value!r:.60} is not")
    return _TYPES[type(value)]


def _text(value: object) -> str:
    """Text in quotes but with its backslashes single, as a pattern is best read."""
    return f'"{value}"' if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
