"""How much work a schema makes of a value, reckoned before a validator begins: some few lines of schema take years.

`visits` counts how often a subschema meets a value if no validator ever stopped early. A pair of the two that is met
again and again is reckoned once, so this is quick where validating would not be. `all_errors` and `one_error` bound
what explaining costs, in bytes: an error of `anyOf` brings those of all its branches, and each has its value and rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from batchrun.errors import SpecError

MOST_STEPS = 500_000
"""Of reckoning: where a schema and a value come to more, that is too much work, too."""

_ERROR = 512
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_BRANCHES = ("anyOf", "oneOf")
_HERE = ("not", "if", "then", "else")
_HERE_NAMED = ("dependentSchemas", "dependencies")
_IN_OBJECTS = ("additionalProperties", "unevaluatedProperties")
_IN_ARRAYS = ("additionalItems", "contains", "unevaluatedItems")
_UNEVALUATED = frozenset(("unevaluatedProperties", "unevaluatedItems"))
#: What holds schemas of its own, which are no part of a rule's text.
_INNER = frozenset(
    (*_BRANCHES, *_HERE, *_HERE_NAMED, *_IN_OBJECTS, *_IN_ARRAYS, "allOf", "properties", "patternProperties",
     "propertyNames", "items", "prefixItems", "$defs", "definitions")
)  # fmt: skip
_LEADING_ON = _INNER - {"$defs", "definitions"} | {*_REFERENCES}
_Pair = tuple[Any, Any]


class TooMuchWork(ValueError):
    """Even reckoning the work is too much."""


@dataclass(frozen=True, slots=True)
class Load:
    """`visits` of subschemas to values; bytes of all errors that there may be, and of the largest one."""

    visits: int = 1
    all_errors: int = 0
    one_error: int = 0


#: Of `true` and `false`.
_SIMPLE = Load(1, _ERROR, _ERROR)


class Workload:
    """Of one schema. Raises SpecError for a reference that cannot be followed.

    `grows` is True where the visits may be many more than the schema times the value.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self._resolver = jsonschema_rs.Registry([(_HOME, schema)]).resolver(_HOME)
        self._targets: dict[str, Any] = {}
        refers = self._follow(schema)
        self.grows = refers or any(not _UNEVALUATED.isdisjoint(node) for node in _nodes(schema))

    def of(self, schema: Any, value: Any) -> Load:
        """What validating `value` comes to. Raises TooMuchWork, RecursionError."""
        return _Reckoning(self._target).load(schema, value)

    def _target(self, reference: str) -> Any:
        """What a reference is to. Raises ReferencingError."""
        if reference not in self._targets:
            self._targets[reference] = self._resolver.lookup(reference).contents
        return self._targets[reference]

    def _follow(self, schema: dict[str, Any]) -> bool:
        """Whether there are references; every one must be such as can be followed here."""
        references = [node[name] for node in _nodes(schema) for name in _REFERENCES if isinstance(node.get(name), str)]
        for reference in references:
            try:
                self._target(reference)
            except jsonschema_rs.ReferencingError:
                said = f"the reference {reference[:80]!r} cannot be followed; write it as `#/$defs/NAME`"
                raise SpecError(f"not a usable JSON Schema: {said}") from None
        return bool(references)


_HOME = "urn:schema"
#: What is under these names is data.
_DATA = ("const", "enum", "default", "examples")


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """All objects in `node`, which need not all be schemas."""
    left = [node]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            yield each
            left += (inner for name, inner in each.items() if name not in _DATA)
        elif isinstance(each, list):
            left += each


class _Reckoning:
    """The loads of one value's pairs, each reckoned once: values that are the same object are the same value."""

    def __init__(self, target: Callable[[str], Any]) -> None:
        self._target = target
        self._known: dict[tuple[int, int], Load] = {}
        self._sizes: dict[int, int] = {}
        self._rules: dict[int, tuple[int, bool]] = {}
        self._steps = 0

    def load(self, schema: Any, value: Any) -> Load:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise TooMuchWork
        if not isinstance(schema, dict):
            return _SIMPLE
        size, has_inner = self._of_rules(schema)
        if not has_inner:
            own = size + self._size(value)
            return Load(1, own, own)
        pair = id(schema), id(value)
        if (known := self._known.get(pair)) is None:
            self._known[pair] = Load()  # a circle of references leads to no more than this
            self._known[pair] = known = self._reckoned(schema, value, size)
        return known

    def _of_rules(self, schema: dict[str, Any]) -> tuple[int, bool]:
        """The bytes of an error of its own, but for the value; whether there are schemas in it."""
        if (known := self._rules.get(id(schema))) is None:
            size = _ERROR + sum(self._size(rule) for name, rule in schema.items() if name not in _INNER)
            known = size, not schema.keys().isdisjoint(_LEADING_ON)
            self._rules[id(schema)] = known
        return known

    def _reckoned(self, schema: dict[str, Any], value: Any, size: int) -> Load:
        here = [self.load(*pair) for pair in self._here(schema, value)]
        branches = [self.load(*pair) for name in _BRANCHES for pair in _each(schema.get(name), value)]
        inside = [self.load(*pair) for pair in self._inside(schema, value)]
        visits = 1 + sum(load.visits for load in (*here, *branches, *inside))
        if not _UNEVALUATED.isdisjoint(schema) and isinstance(value, dict | list):
            visits *= 1 + len(value)  # what has been looked at is found out for each of them
        own = size + self._size(value)
        context = own + sum(load.all_errors for load in branches)
        every = context + sum(load.all_errors for load in (*here, *inside))
        return Load(visits, every, max((context, *(load.one_error for load in (*here, *inside)))))

    def _here(self, schema: dict[str, Any], value: Any) -> Iterator[_Pair]:
        """Subschemas for the value itself."""
        for name in _REFERENCES:
            if isinstance(reference := schema.get(name), str):
                yield self._target(reference), value
        yield from _each(schema.get("allOf"), value)
        yield from ((schema[name], value) for name in _HERE if name in schema)
        for name in _HERE_NAMED:
            yield from _each(list(_fields(schema.get(name)).values()), value)

    def _inside(self, schema: dict[str, Any], value: Any) -> Iterator[_Pair]:
        """Subschemas for what is in the value."""
        if isinstance(value, dict):
            yield from self._of_object(schema, value)
        elif isinstance(value, list):
            yield from self._of_array(schema, value)

    def _of_object(self, schema: dict[str, Any], value: dict[str, Any]) -> Iterator[_Pair]:
        named = _fields(schema.get("properties"))
        yield from ((named[name], inner) for name, inner in value.items() if name in named)
        for_all = [schema[name] for name in _IN_OBJECTS if name in schema]
        for_all += _fields(schema.get("patternProperties")).values()
        for each in for_all:
            yield from ((each, inner) for inner in value.values())
        if "propertyNames" in schema:
            yield from ((schema["propertyNames"], name) for name in value)

    def _of_array(self, schema: dict[str, Any], value: list[Any]) -> Iterator[_Pair]:
        for_all = [schema[name] for name in _IN_ARRAYS if name in schema]
        for name in ("items", "prefixItems"):
            if isinstance(each := schema.get(name), list):
                yield from zip(each, value, strict=False)
            elif each is not None:
                for_all.append(each)
        for each in for_all:
            yield from ((each, inner) for inner in value)

    def _size(self, node: Any) -> int:
        """About how many bytes of JSON."""
        if not isinstance(node, dict | list):
            return len(node) if isinstance(node, str) else 8
        if (known := self._sizes.get(id(node))) is None:
            parts = node.items() if isinstance(node, dict) else enumerate(node)
            known = 2 + sum(8 + len(str(name)) + self._size(inner) for name, inner in parts)
            self._sizes[id(node)] = known
        return known


def _each(schemas: Any, value: Any) -> Iterator[_Pair]:
    return ((schema, value) for schema in schemas) if isinstance(schemas, list) else iter(())


def _fields(node: Any) -> dict[str, Any]:
    return node if isinstance(node, dict) else {}
