"""Writes a value that satisfies a JSON Schema (the subset that the service supports), leaf by leaf.

A leaf comes from the prompt if the field's name finds a value there that fits; else it is invented from a hash of its
path, so that neither the order of fields nor the other fields matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from batchrun.emulator.draws import digest
from batchrun.emulator.replies import leaves
from batchrun.emulator.replies.facts import CellFacts, Facts, RowFacts
from batchrun.emulator.replies.names import column_of
from batchrun.emulator.replies.schemas import SchemaRefused, check_nesting, merge, resolve, types_of

Path = tuple[str | int, ...]
#: Below this depth optional parts are left out and the plainest alternative is taken: recursive schemas come to an end.
_SHALLOW = 8
_DEEPEST = 40
_VALUES = 20_000
_MOST_ITEMS = 1_000
_WEIGHT = {"null": 0, "boolean": 1, "integer": 1, "number": 1, "string": 1, "array": 2, "object": 3}


class DocumentWriter:
    """One document. `key` makes its inventions differ from those for another prompt."""

    def __init__(self, schema: Any, facts: Facts, key: bytes) -> None:
        self._root = schema
        self._facts = facts
        self._key = key
        self._left = _VALUES

    def write(self) -> Any:
        check_nesting(self._root)
        return self._value(self._root, ())

    def _value(self, schema: Any, path: Path) -> Any:
        self._left -= 1
        if self._left < 0 or len(path) > _DEEPEST:
            raise SchemaRefused("the schema is too complex")
        plain = resolve(schema, self._root)
        for keyword in ("anyOf", "oneOf"):
            if branches := plain.get(keyword):
                return self._branch(plain, branches, keyword, path)
        if "const" in plain:
            return plain["const"]
        if "enum" in plain:
            return self._member(plain["enum"], path)
        return self._typed(self._type(plain, path), plain, path)

    def _branch(self, schema: Mapping[str, Any], branches: Any, keyword: str, path: Path) -> Any:
        if not isinstance(branches, list):
            raise SchemaRefused(f"{keyword!r} must be an array of schemas")
        base = {name: value for name, value in schema.items() if name != keyword}
        options = [merge(base, resolve(branch, self._root)) for branch in branches if branch is not False]
        if not options:
            raise SchemaRefused(f"no branch of {keyword!r} can be satisfied")
        return self._value(self._pick(options, path), (*path, keyword))

    def _pick(self, options: list[dict[str, Any]], path: Path) -> dict[str, Any]:
        """An alternative: the plainest in the depth; near the top any, but null only now and then."""
        if len(options) == 1:
            return options[0]
        if len(path) > _SHALLOW:
            return min(options, key=_weight)
        solid = [option for option in options if option.get("type") != "null"]
        if not solid or (len(solid) < len(options) and self._absent(solid, path)):
            return next(option for option in options if option not in solid)
        return solid[self._draw(path, "branch") % len(solid)]

    def _type(self, schema: Mapping[str, Any], path: Path) -> str:
        options = [{"type": name} for name in types_of(schema)]
        return str(self._pick(options, path)["type"])

    def _typed(self, kind: str, schema: Mapping[str, Any], path: Path) -> Any:
        match kind:
            case "object":
                return self._object(schema, path)
            case "array":
                return self._array(schema, path)
            case "string":
                return leaves.string(schema, _name(path), self._facts, self._hash(path, "string"))
            case "integer" | "number":
                return leaves.number(schema, kind, _name(path), self._facts, self._hash(path, "number"))
            case "boolean":
                found = self._facts.boolean(_name(path))
                return self._draw(path, "boolean") % 2 == 0 if found is None else found
        return None

    def _object(self, schema: Mapping[str, Any], path: Path) -> dict[str, Any]:
        properties = leaves.mapping(schema, "properties")
        required = leaves.names(schema, "required")
        extra = schema.get("additionalProperties", True)
        written = {
            name: self._value(properties[name], (*path, name))
            for name in properties
            if name in required or self._wanted((*path, name))
        }
        for name in required:
            if name not in written:
                written[name] = self._value(extra, (*path, name))
        return self._filled(written, schema, extra, path)

    def _filled(self, written: dict[str, Any], schema: Mapping[str, Any], extra: Any, path: Path) -> dict[str, Any]:
        """With the entries of a free mapping: one where a schema for them is given, more where `minProperties` asks."""
        free = not leaves.mapping(schema, "properties") and isinstance(extra, dict)
        least = leaves.count(schema, "minProperties") or (1 if free and len(path) <= _SHALLOW else 0)
        if least > _MOST_ITEMS:
            raise SchemaRefused("'minProperties' is too large")
        while len(written) < least:
            name = f"emulated_{len(written) + 1}"
            written[name] = self._value(extra, (*path, name))
        return written

    def _array(self, schema: Mapping[str, Any], path: Path) -> list[Any]:
        least, most = leaves.count(schema, "minItems") or 0, leaves.count(schema, "maxItems")
        if least > _MOST_ITEMS or (most is not None and most < least):
            raise SchemaRefused(f"no array can be made with minItems {least} and maxItems {most}")
        first = schema.get("prefixItems") or []
        items = schema.get("items", True)
        if (found := self._listed(items, least, most, path)) is not None and not first:
            return found
        if (lines := self._table(items, least, most, path)) and not first:
            return [self._told(line, items, (*path, index)) for index, line in enumerate(lines)]
        count = self._count(least, most, len(first) if isinstance(first, list) else 0, items, path)
        return [self._item(first, items, (*path, index)) for index in range(count)]

    def _item(self, first: Sequence[Any], items: Any, path: Path) -> Any:
        index = path[-1]
        inside = isinstance(index, int) and index < len(first)
        return self._value(first[int(index)] if inside else items, path)

    def _count(self, least: int, most: int | None, first: int, items: Any, path: Path) -> int:
        if len(path) > _SHALLOW:
            return least
        wanted = max(least, first, 1 + self._draw(path, "count") % 3)
        if items is False:
            wanted = max(least, first)
        return wanted if most is None else min(wanted, most)

    def _listed(self, items: Any, least: int, most: int | None, path: Path) -> list[Any] | None:
        """A list of words that stands in the prompt, where plain strings are asked for."""
        plain = {} if items is False else resolve(items, self._root)
        if plain.get("type") != "string" or set(plain) - {"type", "description", "title"}:
            return None
        found = self._facts.words(_name(path))
        fits = found and least <= len(found) and (most is None or len(found) <= most)
        return list(found) if found and fits else None

    def _table(self, items: Any, least: int, most: int | None, path: Path) -> list[Facts]:
        """The lines of a table in the text, where objects with the names of its columns are asked for."""
        names = leaves.mapping(resolve(items, self._root), "properties") if isinstance(items, dict) else {}
        if len(names) < 2 or len(path) > _SHALLOW:
            return []
        lines: list[Facts] = [CellFacts(cells) for cells in self._facts.records(names)]
        if not lines and len({column_of(name) for name in names} - {None}) >= 2:
            lines = [RowFacts(row) for row in self._facts.rows]
        lines = lines[:most]
        return lines if len(lines) >= least else []

    def _told(self, line: Facts, items: Any, path: Path) -> Any:
        """A value whose facts are those of one line of a table."""
        around, self._facts = self._facts, line
        try:
            return self._value(items, path)
        finally:
            self._facts = around

    def _member(self, members: Any, path: Path) -> Any:
        if not isinstance(members, list) or not members:
            raise SchemaRefused("'enum' must be a non-empty array")
        words = [member for member in members if isinstance(member, str)]
        found = self._facts.member(_name(path), words)
        solid = [member for member in members if member is not None] or members
        return found if found is not None else solid[self._draw(path, "enum") % len(solid)]

    def _wanted(self, path: Path) -> bool:
        """Whether an optional property is written: if the prompt knows it, else three times in four."""
        if len(path) > _SHALLOW:
            return False
        return self._known(path) or self._draw(path, "wanted") % 4 != 0

    def _known(self, path: Path) -> bool:
        return self._facts.known(_name(path))

    def _absent(self, solid: Sequence[Mapping[str, Any]], path: Path) -> bool:
        """Whether null is the answer: seldom, but always where a form does not show the value."""
        kinds = {option.get("type") for option in solid}
        if kinds & {"object", "array"} or not (self._facts.telling or self._seldom(path, "null")):
            return False
        return not self._known(path)

    def _seldom(self, path: Path, what: str) -> bool:
        return self._draw(path, what) % 8 == 0

    def _draw(self, path: Path, what: str) -> int:
        return self._hash(path, what)[0]

    def _hash(self, path: Path, what: str) -> bytes:
        return digest(self._key, what, *path)


def _name(path: Path) -> str:
    """The property that a value belongs to; elements of a list have the list's name and no other."""
    named = [part for part in path if isinstance(part, str) and part not in ("anyOf", "oneOf")]
    return named[-1] if named else ""


def _weight(option: Mapping[str, Any]) -> int:
    return _WEIGHT.get(str(option.get("type")), 4 if "$ref" in option else 2)
