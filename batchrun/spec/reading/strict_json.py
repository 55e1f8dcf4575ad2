"""JSON as RFC 8259 has it, without what Python's parser lets through: a silently dropped value makes a wrong prompt.

Duplicate keys, NaN, numbers beyond a double, lone surrogates and deep nesting are errors. Pure.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any, NoReturn

from batchrun.spec.canonical import deeper_than

MAX_DEPTH = 100


class JsonProblem(ValueError):
    """Text that is not acceptable JSON.

    `kind` is `bad_json`, `duplicate_keys`, `bad_number`, `lone_surrogate` or `too_deep`; `position` is the 0-based
    character it was found at, where that is known.
    """

    def __init__(self, kind: str, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.position = position


def parse(text: str) -> Any:
    """The value of one JSON text. Raises JsonProblem."""
    value = _decode(text)
    if text.count("[") + text.count("{") > MAX_DEPTH and deeper_than(value, MAX_DEPTH):
        raise _too_deep()
    if "\\u" in text:
        _refuse_surrogates(text, value)
    return value


def _decode(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise JsonProblem("bad_json", f"not JSON: {error.msg}", error.pos) from None
    except JsonProblem:
        raise
    except RecursionError:
        raise _too_deep() from None
    except (ValueError, MemoryError):
        raise JsonProblem("bad_number", "a number has too many digits; write it as a string") from None


def _too_deep() -> JsonProblem:
    return JsonProblem("too_deep", f"objects and arrays are nested more than {MAX_DEPTH} levels deep")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        raise JsonProblem("duplicate_keys", f"the key {twice[0][:80]!r} occurs more than once in one object")
    return made


def _constant(name: str) -> NoReturn:
    raise JsonProblem("bad_number", f"{name} is not JSON; write null or a string")


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise JsonProblem("bad_number", f"the number {digits[:40]} is beyond a double; write it as a string")
    return number


def _refuse_surrogates(text: str, value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        found = _LONE.search(text)
        message = "half of a surrogate pair (\\ud800 to \\udfff alone) is not text"
        raise JsonProblem("lone_surrogate", message, found.start() if found else None) from None


# Misses a low half after a whole pair; then the problem is reported without a position.
_LONE = re.compile(r"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F]..)")
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
