"""What the sections of a job file share: strictness, durations, sizes."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(KB|kB|MB|GB)")
_BYTES = {"kB": 1_000, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}


def parse_duration(value: object) -> object:
    """Seconds from a number or a string such as `200ms`, `2s`, `5m`, `1h`, `7d`; other values pass through."""
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is no duration: write a number of seconds, or 200ms, 2s, 5m, 1h, 7d")
    return float(match[1]) * _SECONDS[match[2]]


def parse_size(value: object) -> object:
    """Bytes from a number or a string such as `500kB`, `8MB`, `1.5GB`; other values pass through."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is no size: write a number of bytes, or 500kB, 8MB, 1.5GB")
    return round(float(match[1]) * _BYTES[match[2]])


def _plain_name(value: str) -> str:
    if "{{" in value or "{%" in value:
        raise ValueError(f"the name of a column is expected, not the template {value!r:.60}; leave the braces out")
    return value


def _number_or_text(kind: str, pattern: re.Pattern[str]) -> WithJsonSchema:
    text = {"type": "string", "pattern": f"^{pattern.pattern}$"}
    return WithJsonSchema({"anyOf": [{"type": kind, "minimum": 0}, text]})


Duration = Annotated[float, BeforeValidator(parse_duration), Field(ge=0), _number_or_text("number", _DURATION)]
Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0), _number_or_text("integer", _SIZE)]


#: A column's name. Where one is wanted, templates are written by mistake.
ColumnName = Annotated[str, AfterValidator(_plain_name)]


class Strict(BaseModel):
    """A section of the job file: unknown keys are errors and nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def _shape(value: object) -> str:
    """Which form of a field is meant, so that an error is reported for that form only."""
    return "list" if isinstance(value, list) else "object" if isinstance(value, dict) else "text"


Text = Annotated[str, Tag("text")]
Object = Annotated[dict[str, Any], Tag("object")]
BY_SHAPE = Discriminator(
    _shape, custom_error_type="shape", custom_error_message="a value of another type is expected here"
)
