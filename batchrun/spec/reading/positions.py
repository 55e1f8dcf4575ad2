"""YAML 1.2 into plain values, with the line of every key. Pure.

Only the types JSON has come out: a date stays the text it was written as, tags and merge keys are errors, and what
aliases expand to is counted, so that a few lines cannot become a billion values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

KeyPath: TypeAlias = "tuple[str | int, ...]"

MAX_NODES = 100_000
MAX_DEPTH = 100
_MOST_DIGITS = 1000
_CORE = "tag:yaml.org,2002:"


class Problems(Exception):
    """What is wrong with a text: `(line or None, key path, message)` each. The caller knows the file's name."""

    def __init__(self, found: list[tuple[int | None, KeyPath, str]]) -> None:
        super().__init__(found)
        self.found = found


@dataclass(slots=True)
class Placed:
    """Plain data and the 1-based line of each key path in it."""

    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)


#: The mistakes that YAML's own words do not explain, and what mends them.
_ADVICE = {
    "mapping values are not allowed": "a text with a colon needs quotes, a key needs a colon and a space, and keys of "
    "one section begin in the same column",
    "found '<scalar>'": "a text that begins with {, [ or a quote needs quotes around all of it",
    "expected <block end>": "check the indentation: keys of one section begin in the same column",
    "could not find expected ':'": "a key needs a colon and a space, and the lines of a text are indented further than "
    "its key",
    "mapping keys are not allowed": "a text that begins with ? needs quotes",
    "sequence entries are not allowed": "a text that begins with - needs quotes, and a list begins on the next line",
    "expected a comment or a line break": "the text of | or > begins on the next line",
    "'\\t'": "indent with spaces",
    "cannot start any token": "a text that begins with this character needs quotes",
    "expected ',' or '}'": "a text with { or } needs quotes",
    "expected ',' or ']'": "is a bracket never closed?",
    "undefined alias": "a text that begins with * needs quotes",
    "single document": "a job file has no line ---; make two files of it",
    "end of stream": "is a quote or bracket never closed?",
}


def advised(advice: Mapping[str, str], said: str) -> str:
    """The advice for a parser's words, as the end of a sentence; empty where there is none."""
    return next((f"; {mends}" for words, mends in advice.items() if words in said), "")


def placed(text: str) -> Placed:
    """The value of one YAML document. Raises Problems."""
    root = _composed(text)
    walk = _Walk()
    data = walk.value(root, ()) if root is not None else None
    if walk.problems:
        raise Problems(walk.problems)
    return Placed(data, walk.lines)


def _composed(text: str) -> Node | None:
    try:
        return YAML(typ="safe", pure=True).compose(text)  # type: ignore[no-any-return]
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise Problems([(mark.line + 1 if mark else None, (), f"not YAML: {said}{advised(_ADVICE, said)}")]) from None
    except (YAMLError, ValueError) as error:
        raise Problems([(None, (), f"not YAML: {str(error).splitlines()[0]}")]) from None
    except RecursionError:
        raise Problems([(None, (), "nested too deeply")]) from None


class _Walk:
    """Turns nodes into values and notes lines and problems on the way."""

    def __init__(self) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[tuple[int | None, KeyPath, str]] = []
        self._nodes = 0

    def value(self, node: Node, path: KeyPath) -> Any:
        self._count(node, path)
        self.lines.setdefault(path, node.start_mark.line + 1)
        if not isinstance(node, ScalarNode) and str(node.tag) not in (_CORE + "map", _CORE + "seq"):
            self._note(node.start_mark.line + 1, path, _unknown_tag(str(node.tag)))
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _count(self, node: Node, path: KeyPath) -> None:
        self._nodes += 1
        line = node.start_mark.line + 1
        if self._nodes > MAX_NODES:
            raise Problems([(line, path[:4], f"more than {MAX_NODES:,} values, aliases expanded; use fewer aliases")])
        if len(path) > MAX_DEPTH:
            raise Problems([(line, path[:4], f"nested more than {MAX_DEPTH} levels deep")])

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key_node, child in node.value:
            key, line = self._key(key_node, path), key_node.start_mark.line + 1
            if key in made:
                first = self.lines[(*path, key)]
                self._note(line, (*path, key), f"this key is already given in line {first}; keep one of them")
                continue
            self.lines[(*path, key)] = line
            made[key] = self.value(child, (*path, key))
        return made

    def _key(self, node: Node, path: KeyPath) -> str:
        if not isinstance(node, ScalarNode):
            self._note(
                node.start_mark.line + 1, path, "a key must be text; put a template such as {{ name }} in quotes"
            )
            return ""
        if str(node.tag) == _CORE + "merge":
            self._note(node.start_mark.line + 1, path, "merge keys (<<) are not YAML 1.2; repeat the keys")
        return str(node.value)

    def _scalar(self, node: Node, path: KeyPath) -> Any:
        try:
            return scalar(str(node.tag), node.value)
        except ValueError as error:
            self._note(node.start_mark.line + 1, path, str(error))
            return None

    def _note(self, line: int, path: KeyPath, message: str) -> None:
        self.problems.append((line, path, message))


def scalar(tag: str, text: str) -> str | int | float | bool | None:
    """The value of a scalar with a resolved tag. Raises ValueError for tags JSON has no type for, and for infinity."""
    kind = tag.removeprefix(_CORE)
    if kind in ("str", "timestamp", "merge", "value"):
        return _encodable(text)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind in ("int", "float"):
        return _number(kind, text)
    raise ValueError(_unknown_tag(tag))


def _unknown_tag(tag: str) -> str:
    return f"the tag {tag!r} is not supported; write plain text, numbers, lists and mappings"


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair (\\ud800 to \\udfff alone) is not text; remove it") from None
    return text


def _number(kind: str, text: str) -> int | float:
    digits = text.replace("_", "")
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits is too long")
    if kind == "int":
        return int(digits, 0) if digits.lstrip("+-")[:2].lower() in ("0x", "0o", "0b") else int(digits)
    number = float(digits.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number JSON can hold")
    return number
