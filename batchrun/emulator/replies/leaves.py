"""Strings and numbers of a document: from the prompt if they fit the schema, else invented and marked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from batchrun.emulator.replies.facts import Facts
from batchrun.emulator.replies.patterns import sample
from batchrun.emulator.replies.schemas import SchemaRefused

_LONGEST = 100_000


def string(schema: Mapping[str, Any], name: str, facts: Facts, key: bytes) -> str:
    form, pattern = schema.get("format"), schema.get("pattern")
    if form == "date":
        return facts.date(name) or _date(key)
    if isinstance(form, str) and form in _FORMATS:
        return facts.shaped(_SHAPES.get(form, "")) or _format(form, key)
    found = facts.text(name)
    if found is not None and _fits(found, schema):
        return found
    if isinstance(pattern, str) and (written := sample(pattern, key)) is not None:
        return written
    return _sized(f"[emulated] {name or 'text'} {key.hex()[:4]}", schema, key)


def number(schema: Mapping[str, Any], kind: str, name: str, facts: Facts, key: bytes) -> int | float:
    low, high = (
        _bound(schema, "minimum", "exclusiveMinimum", 1, kind),
        _bound(schema, "maximum", "exclusiveMaximum", -1, kind),
    )
    if low is not None and high is not None and low > high:
        raise SchemaRefused(f"no {kind} lies between {low} and {high}")
    step = _step(schema, kind)
    found = facts.number(name)
    if found is not None and _in_range(found, low, high, step, kind):
        return int(found) if kind == "integer" or found.is_integer() else found
    return _invented(low, high, step, kind, key)


def mapping(schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = schema.get(name)
    if value is not None and not isinstance(value, dict):
        raise SchemaRefused(f"{name!r} must be an object")
    return value or {}


def names(schema: Mapping[str, Any], name: str) -> list[str]:
    value = schema.get(name)
    if value is not None and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        raise SchemaRefused(f"{name!r} must be an array of strings")
    return value or []


def count(schema: Mapping[str, Any], name: str) -> int | None:
    value = schema.get(name)
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)  # the service's older schema objects wrote counts as strings
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise SchemaRefused(f"{name!r} must be a count")
    return value


def _fits(value: str, schema: Mapping[str, Any]) -> bool:
    least, most = count(schema, "minLength") or 0, count(schema, "maxLength")
    pattern = schema.get("pattern")
    if pattern is not None and not _matches(pattern, value):
        return False
    return least <= len(value) and (most is None or len(value) <= most)


def _matches(pattern: Any, value: str) -> bool:
    # Only patterns without groups: nested repetition could take for ever on a text that does not match.
    try:
        return isinstance(pattern, str) and "(" not in pattern and bool(re.search(pattern, value))
    except re.error:
        return False


def _sized(value: str, schema: Mapping[str, Any], key: bytes) -> str:
    least, most = count(schema, "minLength") or 0, count(schema, "maxLength")
    if least > _LONGEST or (most is not None and most < least):
        raise SchemaRefused(f"no string can be made with minLength {least} and maxLength {most}")
    padded = value if len(value) >= least else (value + " ").ljust(least, key.hex()[0])
    return padded if most is None else padded[:most]


def _bound(schema: Mapping[str, Any], name: str, exclusive: str, inward: int, kind: str) -> float | None:
    """The nearest allowed value at one end; None where that end is open."""
    closed, opened = _numeric(schema, name), _numeric(schema, exclusive)
    nudge = 1.0 if kind == "integer" else 0.01
    ends = [] if closed is None else [_rounded(closed, inward, kind)]
    if opened is not None:
        whole = _rounded(opened, inward, kind)
        ends.append(whole + inward * nudge if whole == opened else whole)
    if not ends:
        return None
    return max(ends) if inward > 0 else min(ends)


def _rounded(value: float, inward: int, kind: str) -> float:
    if kind == "number":
        return value
    return float(math.ceil(value) if inward > 0 else math.floor(value))


def _numeric(schema: Mapping[str, Any], name: str) -> float | None:
    value = schema.get(name)
    if value is None or isinstance(value, bool):
        return None  # draft 4 wrote exclusiveMinimum: true
    if not isinstance(value, int | float) or abs(value) > 1e300:
        raise SchemaRefused(f"{name!r} must be a number")
    return float(value)


def _step(schema: Mapping[str, Any], kind: str) -> float:
    step = _numeric(schema, "multipleOf")
    if step is not None and step <= 0:
        raise SchemaRefused("'multipleOf' must be above zero")
    return step or (1.0 if kind == "integer" else 0.0)


def _in_range(value: float, low: float | None, high: float | None, step: float, kind: str) -> bool:
    if (low is not None and value < low) or (high is not None and value > high):
        return False
    if kind == "integer" and not value.is_integer():
        return False
    return not step or (value / step).is_integer()


def _invented(low: float | None, high: float | None, step: float, kind: str, key: bytes) -> int | float:
    share = int.from_bytes(key[:4], "big") / 2**32
    start, end = _span(low, high)
    value = start + (end - start) * share
    if not step:
        rounded = round(value, 2)
        return rounded if start <= rounded <= end else start
    first, last = math.ceil(start / step), math.floor(end / step)
    if first > last:
        raise SchemaRefused(f"no multiple of {step} lies between {start} and {end}")
    chosen = (first + int((last - first) * share)) * step
    return int(chosen) if kind == "integer" or chosen.is_integer() else chosen


def _span(low: float | None, high: float | None) -> tuple[float, float]:
    """The range to invent in: up to 100 wide where an end is open."""
    if low is None:
        return (0.0, 100.0) if high is None or high >= 100 else (min(high - 100, 0.0) if high < 0 else 0.0, high)
    return low, min(high, low + 100) if high is not None else max(low, 0.0) + 100


def _date(key: bytes) -> str:
    return f"20{key[0] % 30:02}-{key[1] % 12 + 1:02}-{key[2] % 28 + 1:02}"


def _time(key: bytes) -> str:
    return f"{key[3] % 24:02}:{key[4] % 60:02}:{key[5] % 60:02}Z"


def _format(form: str, key: bytes) -> str:
    mark = key.hex()[:4]
    match form:
        case "date-time":
            return f"{_date(key)}T{_time(key)}"
        case "time":
            return _time(key)
        case "duration":
            return f"PT{key[0] % 59 + 1}M"
        case "uuid":
            digits = key.hex()
            return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"
        case "email":
            return f"emulated.{mark}@example.com"
        case "hostname":
            return f"emulated-{mark}.example.com"
        case "ipv4":
            return f"192.0.2.{key[0]}"
        case "ipv6":
            return f"2001:db8::{mark}"
    return f"https://example.com/emulated/{mark}"


_FORMATS = frozenset({"date-time", "time", "duration", "uuid", "email", "hostname", "ipv4", "ipv6", "uri"})
_SHAPES = {"email": "email", "uri": "url"}
