"""Small checks of JSON values. A check gets the value and its place in the request and raises `Refusal`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from batchrun.emulator.envelopes import invalid, unknown_parameter

Check = Callable[[Any, str], None]
_INT64 = re.compile(r"-?[0-9]{1,19}")


def anything(value: object, where: str) -> None:
    """Accepts every value."""


def text(value: object, where: str) -> None:
    _expect(isinstance(value, str), "a string", value, where)


def boolean(value: object, where: str) -> None:
    _expect(isinstance(value, bool), "a boolean", value, where)


def integer(value: object, where: str) -> None:
    _expect(isinstance(value, int) and not isinstance(value, bool), "an integer", value, where)


def positive(value: object, where: str) -> None:
    int32(value, where)
    _expect(isinstance(value, int) and value > 0, "a positive integer", value, where)


def int32(value: object, where: str) -> None:
    integer(value, where)
    _expect(isinstance(value, int) and -(2**31) <= value < 2**31, "an integer of 32 bits", value, where)


def int64(value: object, where: str) -> None:
    """An integer, or one in a string, which is how protobuf writes 64 bits in JSON."""
    if not (isinstance(value, str) and _INT64.fullmatch(value)):
        integer(value, where)


def positive_int64(value: object, where: str) -> None:
    int64(value, where)
    _expect(int(str(value)) > 0, "a positive integer", value, where)


def number(value: object, where: str) -> None:
    _expect(isinstance(value, int | float) and not isinstance(value, bool), "a number", value, where)


def number_between(least: float, most: float) -> Check:
    def check(value: object, where: str) -> None:
        number(value, where)
        holds = isinstance(value, int | float) and least <= value <= most
        _expect(holds, f"a number from {least:g} to {most:g}", value, where)

    return check


def web_address(value: object, where: str) -> None:
    """An http or https address with a host."""
    text(value, where)
    _expect(is_web_address(str(value)), "an address that begins with https:// or http://", value, where)


def is_web_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is none
        return False


def mapping(value: object, where: str) -> None:
    _expect(isinstance(value, dict), "an object", value, where)


def one_of(*values: str) -> Check:
    def check(value: object, where: str) -> None:
        if not isinstance(value, str) or value not in values:
            raise invalid(f"Invalid value at {where!r}: {shown(value)}. Expected one of: {', '.join(values)}.")

    return check


def list_of(item: Check) -> Check:
    def check(value: object, where: str) -> None:
        if not isinstance(value, list):
            raise wrong_type("an array", value, where)
        for index, element in enumerate(value):
            item(element, f"{where}[{index}]")

    return check


def record(fields: Mapping[str, Check], *required: str) -> Check:
    """An object with no other fields than these; null counts as absent."""

    def check(value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise wrong_type("an object", value, where)
        for name, item in value.items():
            known = fields.get(name)
            if known is None:
                raise unknown_parameter(name, where)
            if item is not None:
                known(item, f"{where}.{name}")
        demand(value, where, *required)

    return check


def either(*checks: tuple[type, Check]) -> Check:
    """Chooses the check by the JSON type of the value."""

    def check(value: object, where: str) -> None:
        for kind, chosen in checks:
            if isinstance(value, kind):
                return chosen(value, where)
        raise wrong_type(" or ".join(_NAMES[kind] for kind, _ in checks), value, where)

    return check


def demand(value: Mapping[str, Any], where: str, *required: str) -> None:
    for name in required:
        if value.get(name) is None:
            raise invalid(f"Missing required field {name!r} at {where!r}.")


def shown(value: object) -> str:
    """A value as a message can show it: short, and with nothing that UTF-8 cannot carry."""
    return ascii(value)[:80]


def wrong_type(expected: str, value: object, where: str) -> Exception:
    return invalid(f"Invalid type at {where!r}: expected {expected}, got {shown(value)}.")


_NAMES: dict[type, str] = {str: "a string", dict: "an object", list: "an array", bool: "a boolean"}


def _expect(holds: bool, expected: str, value: object, where: str) -> None:
    if not holds:
        raise wrong_type(expected, value, where)
