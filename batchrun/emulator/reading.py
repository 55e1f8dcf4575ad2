"""A request body as JSON, as strict as a protobuf reader: bad UTF-8, NaN, 1e999 and lone surrogates are refused."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from batchrun.emulator.envelopes import invalid

MAX_DEPTH = 100
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(f"{text[:40]} is too large for a number")
    return value


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)


def read_body(body: bytes) -> dict[str, Any]:
    """The JSON object in a request body. Raises `Refusal` for everything else."""
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise invalid("Invalid JSON payload received. The body is not UTF-8.") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise invalid(f"Invalid JSON payload received. {ascii(str(error))[1:-1]}") from None
    if not isinstance(value, dict):
        raise invalid("Invalid JSON payload received. The body must be an object.")
    _check_depth(value, body)
    _check_surrogates(value, body)
    return value


def _check_depth(value: object, body: bytes) -> None:
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _too_deep()
        level = [child for item in level for child in _children(item)]


def _children(item: object) -> list[object]:
    children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    return [child for child in children if isinstance(child, dict | list)]


def _check_surrogates(value: object, body: bytes) -> None:
    if _SURROGATE.search(body) is None:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise invalid("Invalid JSON payload received. A string holds an unpaired surrogate.") from None


def _too_deep() -> Exception:
    return invalid(f"Invalid JSON payload received. Message too deep: at most {MAX_DEPTH} levels.")
