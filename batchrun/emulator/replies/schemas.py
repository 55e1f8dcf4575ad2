"""Reading a JSON Schema: references, merged parts, the types that a value may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_HINTS = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "minimum": "number",
    "maximum": "number",
}
#: What stands behind these is no schema.
_VALUES = frozenset({"const", "default", "enum", "example", "examples"})
_MOST_STEPS = 50
#: The service calls large `maxItems` in nested arrays too complex; where it draws the line is not documented.
_MOST_NESTED = 1_000_000


class SchemaRefused(Exception):
    """A schema that the service would answer with 400. The message says what is wrong with it."""


def resolve(schema: Any, root: Any) -> dict[str, Any]:
    """The schema without `$ref` and `allOf` at its top."""
    plain = _object(schema)
    for _ in range(_MOST_STEPS):
        if "$ref" in plain:
            rest = {name: value for name, value in plain.items() if name != "$ref"}
            plain = merge(_object(_target(plain["$ref"], root)), rest)
        elif "allOf" in plain:
            plain = _joined(plain)
        else:
            return plain
    raise SchemaRefused("a reference that leads to itself")


def with_plain_types(schema: Any) -> Any:
    """The schema with its types in lower case, as JSON Schema has them and the service need not."""
    if isinstance(schema, list):
        return [with_plain_types(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _plain(name, value) for name, value in schema.items()}


def _plain(keyword: str, value: Any) -> Any:
    if keyword in _VALUES:
        return value
    if keyword == "type" and isinstance(value, str):
        return value.lower()
    if keyword == "type" and isinstance(value, list):
        return [name.lower() if isinstance(name, str) else name for name in value]
    return with_plain_types(value)


def check_nesting(schema: Any) -> int:
    """How many items the arrays of a schema may hold together. Raises SchemaRefused for too many in nested arrays."""
    children = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    inner = max(map(check_nesting, children), default=1)
    most = schema.get("maxItems") if isinstance(schema, dict) else None
    own = most if isinstance(most, int) and most > 1 else 1
    if own > 1 and inner > 1 and own * inner > _MOST_NESTED:
        raise SchemaRefused(f"the schema is too complex: nested arrays of up to {own * inner} items")
    return own * inner


def merge(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both schemas as one: properties and required names add up, of other keywords the second wins."""
    merged = {**base, **more}
    for name in ("properties", "required"):
        first, second = base.get(name), more.get(name)
        if isinstance(first, dict) and isinstance(second, dict):
            merged[name] = {**first, **second}
        elif isinstance(first, list) and isinstance(second, list):
            merged[name] = [*first, *(item for item in second if item not in first)]
    return merged


def types_of(schema: Mapping[str, Any]) -> list[str]:
    """The types that `type` allows; without it the one that the other keywords speak of, or else string."""
    stated = schema.get("type")
    if stated is None:
        return [next((kind for name, kind in _HINTS.items() if name in schema), "string")]
    listed = stated if isinstance(stated, list) else [stated]
    # Upper case is how the service's older schema objects wrote types, and it still takes them.
    names = [name.lower() for name in listed if isinstance(name, str)]
    if not listed or len(names) < len(listed) or any(name not in _TYPES for name in names):
        raise SchemaRefused(f"'type' must be one or more of {', '.join(_TYPES)}")
    return names


def _joined(schema: Mapping[str, Any]) -> dict[str, Any]:
    parts = schema["allOf"]
    if not isinstance(parts, list):
        raise SchemaRefused("'allOf' must be an array of schemas")
    joined = {name: value for name, value in schema.items() if name != "allOf"}
    for part in parts:
        joined = merge(joined, _object(part))
    return joined


def _object(schema: Any) -> dict[str, Any]:
    if schema is True:
        return {}
    if schema is False:
        raise SchemaRefused("a value is required where the schema allows none")
    if not isinstance(schema, dict):
        raise SchemaRefused("a schema must be an object")
    return schema


def _target(reference: Any, root: Any) -> Any:
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise SchemaRefused("'$ref' must point into the schema itself, such as #/$defs/item")
    target = root
    for part in reference[1:].split("/")[1:]:
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        target = _step(target, name, reference)
    return target


def _step(target: Any, name: str, reference: str) -> Any:
    if isinstance(target, dict) and name in target:
        return target[name]
    if isinstance(target, list) and name.isdecimal() and int(name) < len(target):
        return target[int(name)]
    raise SchemaRefused(f"'$ref' {ascii(reference)[:80]} points to nothing")
