"""What is wrong with a value of the job file, for each kind of finding that pydantic has. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from batchrun.spec.reading.positions import KeyPath
from batchrun.spec.service.shapes import got

#: What pydantic found: `type`, `input` and `ctx` are those of `ErrorDetails`.
Found = Mapping[str, Any]

_TYPES = ("text", "document", "image", "audio", "video")
_MEANT = {
    **dict.fromkeys(("pdf", "file", "doc"), "document"),
    **dict.fromkeys(("picture", "photo", "img"), "image"),
    **dict.fromkeys(("sound", "speech", "music"), "audio"),
    **dict.fromkeys(("film", "movie"), "video"),
}
_TRUTH = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_LONGEST_SHOWN = 40
_EXACT = 2.0**53


def message(found: Found, path: KeyPath) -> str:
    """One sentence: what is expected here, what there is, and what to write instead where that is known."""
    said = _MESSAGES.get(found["type"])
    return said(found, path) if said else f"a value of another form is expected here{got(found['input'])}"


def _text(found: Found, path: KeyPath) -> str:
    value = found["input"]
    if path == ("input", "path") and isinstance(value, list):
        return "one text is expected, not a list; a pattern such as rows-*.jsonl names several files"
    quotes = " (put it in quotes)" if isinstance(value, bool | int | float) else ""
    return f"text is expected{quotes}{got(value)}"


def _whole(found: Found, path: KeyPath) -> str:
    value = found["input"]
    instead = f"; write {int(value)}" if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT else ""
    return f"a whole number is expected{got(value)}{instead}"


def _truth(found: Found, path: KeyPath) -> str:
    value = found["input"]
    instead = _TRUTH.get(value.lower()) if isinstance(value, str) else None
    return f"true or false is expected{got(value)}{f'; write {instead}' if instead else ''}"


def _list(found: Found, path: KeyPath) -> str:
    value, instead = found["input"], ""
    if isinstance(value, str) and len(value) <= _LONGEST_SHOWN:
        instead = f"; write [{', '.join(value.split()) if path[-1:] == ('command',) else value}]"
    elif isinstance(value, dict):
        instead = "; put it in a list"
    return f"a list is expected{got(value)}{instead}"


def _mapping(found: Found, path: KeyPath) -> str:
    return f"a mapping is expected{got(found['input'])}{_mapped(found['input'], path)}"


def _mapped(value: Any, path: KeyPath) -> str:
    if value is None:
        return "; indent what belongs to it, or remove the key"
    if not isinstance(value, str):
        return ""
    shown = value if len(value) <= _LONGEST_SHOWN and value.isprintable() else "…"
    if path == ("input",):
        return f"; write path: {shown} below it"
    if path[-1:] == ("ambiguous",):
        return f"; write {{model: {shown}, agent: {shown}}}"
    return "; write a part such as {type: text, text: …}" if isinstance(path[-1], int) else ""


def _shape(found: Found, path: KeyPath) -> str:
    """A field that may be text and one other thing, and is the third."""
    value = found["input"]
    if isinstance(value, dict):
        part = "; put the part in a list" if path[-1] == "input" else ""
        return f"text or a list is expected, not a mapping{part}"
    return f"text or a mapping is expected{got(value)}"


def _choice(found: Found, path: KeyPath) -> str:
    expected, value = found["ctx"]["expected"], found["input"]
    close = get_close_matches(value, re.findall(r"'(.+?)'", expected), 1) if isinstance(value, str) else []
    return f"{expected} is expected{got(value)}{f'; did you mean {close[0]}?' if close else ''}"


def _kind(found: Found, path: KeyPath) -> str:
    """A `type` that no part and no form of an answer has."""
    expected = found.get("ctx", {}).get("expected_tags") or ", ".join(map(repr, _TYPES))
    value = found["input"].get("type") if isinstance(found["input"], dict) else None
    return f"`type` must be one of {expected}{'' if value is None else got(value)}{_kind_meant(value, expected)}"


def _kind_meant(value: Any, expected: str) -> str:
    if not isinstance(value, str):
        return ""
    if value.startswith("json"):
        return "; for JSON leave `type` out and give `schema`"
    close = get_close_matches(value, _TYPES, 1)
    meant = _MEANT.get(value.lower(), close[0] if close else None)
    return f"; did you mean {meant}?" if meant and repr(meant) in expected else ""


def _name(found: Found, path: KeyPath) -> str:
    allowed = "at most 63 of a-z, A-Z, 0-9, `_`, `.` and `-` are expected, a letter or digit first"
    return f"{allowed}{got(found['input'])}"


Wording = Callable[[Found, KeyPath], str]


def _always(words: str) -> Wording:
    return lambda found, path: f"{words}{got(found['input'])}"


_MESSAGES: Mapping[str, Wording] = {
    "string_type": _text,
    "string_pattern_mismatch": _name,
    "int_type": _whole,
    "int_from_float": _whole,
    "float_type": _always("a number is expected"),
    "finite_number": _always("a finite number is expected"),
    "greater_than": lambda found, path: f"more than {found['ctx']['gt']:g} is expected{got(found['input'])}",
    "greater_than_equal": lambda found, path: f"at least {found['ctx']['ge']:g} is expected{got(found['input'])}",
    "less_than_equal": lambda found, path: f"at most {found['ctx']['le']:g} is expected{got(found['input'])}",
    "bool_type": _truth,
    "list_type": _list,
    "too_short": lambda found, path: "at least one item is expected; add one, or remove the key",
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), _mapping),
    "shape": _shape,
    "literal_error": _choice,
    **dict.fromkeys(("union_tag_not_found", "union_tag_invalid"), _kind),
    "missing": lambda found, path: "this key is missing; add it",
    "value_error": lambda found, path: str(found["ctx"]["error"]),
}
