"""How long an interaction takes, as a distribution that is drawn from with a number in (0, 1)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from batchrun.errors import SpecError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NORMAL = NormalDist()
_FORMS = "200ms, 2s, 1.5m, uniform:1s,5s or lognormal:20s,1.0 (median, sigma)"


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds until an interaction is ready. `first` and `second` are the distribution's two parameters."""

    shape: Literal["constant", "uniform", "lognormal"] = "constant"
    first: float = 0.0
    second: float = 0.0

    def draw(self, chance: float) -> float:
        """Seconds for a draw `chance` in the open interval (0, 1)."""
        match self.shape:
            case "uniform":
                return self.first + (self.second - self.first) * chance
            case "lognormal":
                return self.first * math.exp(self.second * _NORMAL.inv_cdf(chance))
            case _:
                return self.first


NO_LATENCY = Latency()


def parse_latency(text: str) -> Latency:
    """A latency such as `200ms`, `uniform:1s,5s` or `lognormal:20s,1.0`. Raises SpecError for anything else."""
    shape, colon, rest = text.strip().partition(":")
    if not colon:
        return Latency("constant", _seconds(shape, text))
    first, comma, second = rest.partition(",")
    if shape == "lognormal" and comma:
        return Latency("lognormal", _seconds(first, text), _sigma(second, text))
    if shape == "uniform" and comma:
        return _uniform(_seconds(first, text), _seconds(second, text), text)
    raise _no_latency(text)


def parse_seconds(text: str) -> float | None:
    """Seconds in `200ms`, `2s`, `5m`, `1h` or a bare number of seconds; None if it is no duration."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h)?", text.strip())
    return float(match[1]) * _UNITS[match[2] or "s"] if match else None


def _uniform(low: float, high: float, text: str) -> Latency:
    if low > high:
        raise SpecError(f"latency {text!r}: the first duration is longer than the second; swap them")
    return Latency("uniform", low, high)


def _sigma(part: str, text: str) -> float:
    match = re.fullmatch(r"\d(?:\.\d{1,9})?", part.strip())
    if match is None:
        raise SpecError(f"latency {text!r}: sigma must be a number from 0 to below 10, got {part.strip()!r}")
    return float(match[0])


def _seconds(part: str, text: str) -> float:
    seconds = parse_seconds(part)
    if seconds is None:
        raise _no_latency(text)
    return seconds


def _no_latency(text: str) -> SpecError:
    return SpecError(f"{text!r} is no latency: write {_FORMS}")
