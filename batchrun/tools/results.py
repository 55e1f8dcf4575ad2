"""What a function call came to, as a function_result step can carry it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_jsonable_python

from batchrun.environment import keys
from batchrun.spec.canonical import deeper_than
from batchrun.spec.reading.credentials import without_keys

MAX_BYTES = 1_000_000
MAX_MESSAGE = 2_000
_MAX_DEPTH = 100
_MEDIA = ("image", "audio", "video", "document")
_SECRET = re.compile(r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(?:_|$)", re.IGNORECASE)
_SHORTEST_SECRET = 8


@dataclass(frozen=True, slots=True)
class ToolResult:
    """Valid as the `result` and `is_error` of a function_result step: text, an object, or a list of content blocks."""

    result: str | dict[str, Any] | list[Any]
    is_error: bool


def succeeded(value: object) -> ToolResult:
    """What the function returned.

    Text, dicts and lists of content blocks go as they are, anything else as {"result": value}. NaN and infinity become
    null. Raises ValueError or TypeError for what JSON cannot hold, and RecursionError.
    """
    result = plain(value)
    if deeper_than(result, _MAX_DEPTH):
        raise ValueError(f"the result is nested more than {_MAX_DEPTH} levels deep")
    text = json.dumps(result, ensure_ascii=False, allow_nan=False)
    if len(text.encode()) > MAX_BYTES:
        raise ValueError(f"the result is larger than {MAX_BYTES:,} bytes of JSON; return less of it")
    return ToolResult(_shaped(result, text, value), is_error=False)


def plain(value: object) -> Any:
    """A function's value as JSON values, in text that UTF-8 can carry, and without secrets of this process's
    environment. NaN and infinity become null. Raises TypeError for what has no JSON form, and RecursionError."""
    return _clean(_jsonable(value), _secrets())


def failed(message: str) -> ToolResult:
    """A message to the model: short, and without secrets of this process's environment."""
    text = _clean(message, _secrets())
    return ToolResult(text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…", is_error=True)


def failed_by(error: BaseException) -> ToolResult:
    """The error's type and message, without its traceback."""
    try:
        message = str(error)
    except BaseException:  # an exception class of the user's
        message = ""
    return failed(f"{type(error).__name__}: {message}" if message else type(error).__name__)


def _jsonable(value: object) -> Any:
    try:
        if not isinstance(value, Iterator):  # pydantic would run it to its end, if it has one
            return to_jsonable_python(value, inf_nan_mode="null")
    except ValueError as error:
        raise TypeError(f"the result has no JSON form: {error}") from None
    raise TypeError(f"the result is a {type(value).__name__}, which has no JSON form; return a list")


def _shaped(plain: Any, text: str, value: object) -> str | dict[str, Any] | list[Any]:
    if isinstance(plain, str) and isinstance(value, str):
        return plain
    as_is = isinstance(value, dict) or (isinstance(value, list) and value and all(map(_is_block, plain)))
    shaped = plain if as_is else {"result": plain}
    # The service takes `$ref` in an object for a reference of its own and refuses the request; in text it does not.
    return json.dumps(shaped, ensure_ascii=False) if '"$ref"' in text else shaped


def _is_block(item: object) -> bool:
    if not isinstance(item, dict):
        return False
    if item.get("type") == "text":
        return item.keys() == {"type", "text"} and isinstance(item["text"], str)
    given = item.keys() - {"type"}
    return (
        item.get("type") in _MEDIA
        and given in ({"data", "mime_type"}, {"uri", "mime_type"})
        and all(isinstance(item[name], str) for name in given)
    )


def _clean(value: Any, secrets: list[str]) -> Any:
    """The value with text that UTF-8 can carry, and without secrets."""
    if isinstance(value, dict):
        return {_clean(name, secrets): _clean(item, secrets) for name, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, secrets) for item in value]
    return _clean_text(value, secrets) if isinstance(value, str) else value


def _clean_text(text: str, secrets: list[str]) -> str:
    # Both halves of a surrogate pair become their character, half a pair becomes U+FFFD.
    whole = text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    for secret in secrets:
        whole = whole.replace(secret, "…")
    return without_keys(whole)


def _secrets() -> list[str]:
    """The API key, and values of environment variables that are secrets by their names, the longest first."""
    values = {value.strip() for name, value in os.environ.items() if _SECRET.search(name)}
    values |= {key for _, key in keys()}
    return sorted((value for value in values if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)
