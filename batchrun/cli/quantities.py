"""Types of options that hold a time or a size, written as in job files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

N = TypeVar("N", int, float)


class Time(click.ParamType[float]):
    """Seconds from text such as `50m`."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from batchrun.spec.fields import parse_duration

        return _converted(self, float, parse_duration, value, param, ctx)


class Size(click.ParamType[int]):
    """Bytes from text such as `10MB`."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from batchrun.spec.fields import parse_size

        return _converted(self, int, parse_size, value, param, ctx)


def _converted(
    kind: click.ParamType[Any],
    number: Callable[[Any], N],
    parse: Callable[[object], object],
    value: object,
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> N:
    try:
        return number(parse(_plain(value)))
    except (TypeError, ValueError) as error:
        kind.fail(str(error), param, ctx)


def _plain(value: object) -> object:
    """A bare number is one of seconds, or of bytes, as it is in a job file."""
    return float(value) if isinstance(value, str) and value.strip().replace(".", "", 1).isdecimal() else value
