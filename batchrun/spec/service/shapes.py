"""Shapes of the values that are passed on to the service, and what is wrong with a value of another shape. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from batchrun.spec.reading.positions import KeyPath


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said about a setting, and its key path.

    `refused` is True where the service would answer every row with an error, False where it does something else than
    one may think.
    """

    path: KeyPath
    message: str
    refused: bool = True


Findings = Iterator[Finding]
Shape = Callable[[Any, KeyPath], Findings]


def advice(path: KeyPath, message: str) -> Finding:
    """A finding that stops nothing."""
    return Finding(path, message, refused=False)


def got(value: object) -> str:
    """What was found instead, as the end of a sentence."""
    if isinstance(value, dict | list):
        return f", not a {'mapping' if isinstance(value, dict) else 'list'}"
    if value is None or isinstance(value, bool):
        return f", not {'nothing' if value is None else str(value).lower()}"
    return f", not {repr(value)[:60]}"


def choice(*values: str) -> Shape:
    """One of these texts."""

    def shape(value: Any, path: KeyPath) -> Findings:
        if value not in values:
            yield Finding(path, f"the service takes {', '.join(values)} here{got(value)}")

    return shape


def list_of(item: Shape) -> Shape:
    def shape(value: Any, path: KeyPath) -> Findings:
        if not isinstance(value, list):
            yield _other("a list", value, path)
            return
        for index, each in enumerate(value):
            yield from item(each, (*path, index))

    return shape


@dataclass(frozen=True)
class Record:
    """A mapping with no other keys than `fields`; null counts as absent.

    `instead` says of keys that the service does not have what to do without them.
    """

    fields: Mapping[str, Shape]
    needed: tuple[str, ...] = ()
    instead: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, value: Any, path: KeyPath) -> Findings:
        if not isinstance(value, dict):
            yield _other("a mapping", value, path)
            return
        for key, item in value.items():
            if key not in self.fields:
                yield Finding((*path, key), self._unknown(key))
            elif item is not None:
                yield from self.fields[key](item, (*path, key))
        for key in self.needed:
            if value.get(key) is None:
                yield Finding(path, f"the service needs `{key}` here; add it")

    def _unknown(self, key: str) -> str:
        close = get_close_matches(key.lower(), self.fields, n=1)
        known = f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(sorted(self.fields)) or 'none'}"
        return f"the service has no such setting; {self.instead.get(key, known)}"


def by_type(kinds: Mapping[str, Shape]) -> Shape:
    """A mapping whose `type` decides its shape."""

    def shape(value: Any, path: KeyPath) -> Findings:
        if not isinstance(value, dict):
            yield _other("a mapping", value, path)
            return
        kind = value.get("type")
        if isinstance(kind, str) and kind in kinds:
            yield from kinds[kind](value, path)
        else:
            yield Finding((*path, "type"), unknown_type(kind, kinds) + _named_by_key(value, kinds))

    return shape


def _named_by_key(value: Mapping[str, Any], kinds: Mapping[str, Shape]) -> str:
    """The form of other clients, which name the type by a key: `{google_search: {}}`."""
    close = get_close_matches(next(iter(value), ""), kinds, 1, 0.8) if "type" not in value else []
    return f"; write `type: {close[0]}`" if close else ""


def unknown_type(kind: object, kinds: Mapping[str, Shape]) -> str:
    close = get_close_matches(kind, kinds, n=1) if isinstance(kind, str) else []
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"the service knows the types {', '.join(kinds)}{got(kind)}{hint}"


def either(*shapes: tuple[type, Shape]) -> Shape:
    """The shape for the JSON type of the value."""

    def shape(value: Any, path: KeyPath) -> Findings:
        for kind, chosen in shapes:
            if isinstance(value, kind):
                yield from chosen(value, path)
                return
        yield _other(" or ".join(_NAMES[kind] for kind, _ in shapes), value, path)

    return shape


def but(shape: Shape, message: str) -> Shape:
    """The shape of a setting that works, but is to be warned of."""

    def warned(value: Any, path: KeyPath) -> Findings:
        yield from shape(value, path)
        yield advice(path, message)

    return warned


def anything(value: Any, path: KeyPath) -> Findings:
    return iter(())


def _of(words: str, *types: type) -> Shape:
    def shape(value: Any, path: KeyPath) -> Findings:
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            yield _other(words, value, path)

    return shape


def _other(words: str, value: object, path: KeyPath) -> Finding:
    return Finding(path, f"the service takes {words} here{got(value)}")


_NAMES: dict[type, str] = {str: "text", dict: "a mapping", list: "a list"}
text = _of("text", str)
flag = _of("true or false", bool)
whole = _of("a whole number", int)
number = _of("a number", int, float)
mapping = _of("a mapping", dict)


def positive(value: Any, path: KeyPath) -> Findings:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        yield _other("a whole number from 1", value, path)
