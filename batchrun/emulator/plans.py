"""Fault plans as people write them: a compact string, or a YAML or JSON file.

Compact: `429:0.05, lost_answer:#3, stuck:x1, get/503:0.01, slow=2s:0.1, failed@case=refund`. That is
`[on/]kind[=duration][:when...][@label=value]`, where `when` is a rate from 0 to 1, `#n` for the n-th call or `xn` for
the first n tries of one request. File: a list of mappings with the keys kind, on, rate, nth, times, label, match and
seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from batchrun.emulator.faults import ALIASES, FAULTS, Rule, Target
from batchrun.emulator.latency import parse_seconds
from batchrun.errors import SpecError

_KEYS = ("kind", "on", "rate", "nth", "times", "label", "match", "seconds")
_TARGETS = ("post", "get", "cancel", "delete")


def load_faults(plan: str | Path) -> tuple[Rule, ...]:
    """The rules in a compact string or in a file (any Path, or a string that ends in .yaml, .yml or .json).

    Raises SpecError with the rule that is wrong and what to write instead.
    """
    if isinstance(plan, Path) or plan.endswith((".yaml", ".yml", ".json")):
        return _from_file(Path(plan))
    parts = [part.strip() for part in plan.split(",")]
    return tuple(_compact(part) for part in parts if part)


def _compact(text: str) -> Rule:
    rest, at, label = text.partition("@")
    rest, *whens = rest.split(":")
    target, slash, kind = rest.rpartition("/")
    kind, equals, duration = kind.partition("=")
    fields: dict[str, Any] = {"kind": kind.strip()}
    if slash:
        fields["on"] = target.strip()
    if equals:
        fields["seconds"] = duration.strip()
    for when in whens:
        fields |= _when(when.strip(), text)
    if at:
        fields["label"] = dict([label.split("=", 1)]) if "=" in label else label
    return _rule(fields, f"fault {text!r}")


def _when(when: str, text: str) -> dict[str, Any]:
    if when[:1] == "#" and when[1:].isdecimal():
        return {"nth": int(when[1:])}
    if when[:1] == "x" and when[1:].isdecimal():
        return {"times": int(when[1:])}
    try:
        return {"rate": float(when)}
    except ValueError:
        raise SpecError(f"fault {text!r}: {when!r} is no rate (0.05), no call number (#3) and no tries (x2)") from None


def _from_file(path: Path) -> tuple[Rule, ...]:
    try:
        loaded: object = YAML(typ="safe", pure=True).load(StringIO(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SpecError(f"cannot read the fault plan {str(path)!r}: {error.strerror}") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise SpecError(f"the fault plan {str(path)!r} is not YAML or JSON: {error}") from error
    rules = loaded.get("faults") if isinstance(loaded, Mapping) else loaded
    if not isinstance(rules, list):
        raise SpecError(f"the fault plan {str(path)!r} must be a list of rules, or a mapping with one named 'faults'")
    return tuple(_rule(rule, f"{path}: rule {number}") for number, rule in enumerate(rules, 1))


def _rule(fields: object, where: str) -> Rule:
    if not isinstance(fields, Mapping):
        raise SpecError(f"{where}: a rule is a mapping with the key 'kind', got {fields!r}")
    unknown = [str(key) for key in fields if key not in _KEYS]
    if unknown:
        raise SpecError(f"{where}: unknown key {unknown[0]!r}; a rule has the keys {', '.join(_KEYS)}")
    kind = _kind(fields.get("kind"), where)
    return Rule(
        kind=kind,
        on=_target(fields.get("on"), kind, where),
        rate=_rate(fields.get("rate"), where),
        nth=_numbers(fields.get("nth"), where),
        times=_count(fields.get("times"), "times", where),
        labels=_labels(fields.get("label"), where),
        match=_text(fields.get("match"), where),
        seconds=_duration(fields.get("seconds"), kind, where),
    )


def _kind(value: object, where: str) -> str:
    name = ALIASES.get(str(value), str(value))
    if name in FAULTS:
        return name
    close = get_close_matches(name, FAULTS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "`batchrun emulator faults` lists them"
    raise SpecError(f"{where}: there is no fault {name!r}; {hint}")


def _target(value: object, kind: str, where: str) -> Target:
    if value is None:
        return FAULTS[kind].on
    if value not in _TARGETS:
        raise SpecError(f"{where}: 'on' is one of {', '.join(_TARGETS)}, got {value!r}")
    if FAULTS[kind].place == "outcome" and value != "post":
        raise SpecError(f"{where}: {kind!r} shapes the interaction that a POST creates; it has no place on {value!r}")
    return cast(Target, value)


def _rate(value: object, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise SpecError(f"{where}: a rate is a number from 0 to 1, got {value!r}")
    return float(value)


def _numbers(value: object, where: str) -> frozenset[int] | None:
    if value is None:
        return None
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise SpecError(f"{where}: 'nth' names no call; write 3 or [1, 3]")
    return frozenset(_count(number, "nth", where) or 0 for number in listed)


def _count(value: object, name: str, where: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SpecError(f"{where}: {name!r} counts from 1, got {value!r}")
    return value


def _labels(value: object, where: str) -> Mapping[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise SpecError(f"{where}: 'label' is a mapping such as {{case: refund}}, in short @case=refund; got {value!r}")
    return {str(key): str(item) for key, item in value.items()}


def _text(value: object, where: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise SpecError(f"{where}: 'match' is a part of the prompt, got {value!r}")


def _duration(value: object, kind: str, where: str) -> float | None:
    if value is None:
        return None
    if FAULTS[kind].seconds is None:
        raise SpecError(f"{where}: {kind!r} takes no duration; leave {value!r} out")
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    seconds = math.inf if value == "inf" else parse_seconds(str(value))
    if seconds is None:
        raise SpecError(f"{where}: {value!r} is no duration: write 5, 200ms, 2m or inf")
    return seconds
