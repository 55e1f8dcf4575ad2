"""Values from the command line over a document: `limits.rpm=60`, `request.input.0.text=Hello`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from batchrun.errors import SpecError
from batchrun.spec.reading.credentials import without_keys
from batchrun.spec.reading.documents import Document
from batchrun.spec.reading.positions import KeyPath, Problems, placed


def override(document: Document, settings: Sequence[str]) -> None:
    """Put each `dotted.key=value` (value in YAML) into the document. Raises SpecError."""
    for setting in settings:
        key, equals, text = setting.partition("=")
        label = without_keys(f"--set {key.strip()}")
        if not (equals and key.strip()):
            raise SpecError(f"{label}: write it as key=value, such as limits.rpm=60")
        path = tuple(key.strip().split("."))
        _refuse_new_stages(document.data, path, label)
        placed_at = _put(document.data, path, _value(label, text), label)
        document.overridden[placed_at] = label


def _refuse_new_stages(data: Any, path: tuple[str, ...], label: str) -> None:
    """A misspelt name would be a stage more, which is paid for."""
    stages = data.get("stages") if isinstance(data, dict) else None
    if path[0] == "stages" and isinstance(stages, dict) and len(path) > 1 and path[1] not in stages:
        raise SpecError(f"{label}: there is no stage {path[1]!r}; there are {', '.join(map(str, stages))}")


def _value(label: str, text: str) -> Any:
    if text == "-":  # standard input, not an empty list
        return text
    try:
        return placed(text).data
    except Problems as problems:
        raise SpecError(f"{label}: the value cannot be used: {problems.found[0][2]}; put it in quotes") from None


def _put(data: Any, path: tuple[str, ...], value: Any, label: str) -> KeyPath:
    done: KeyPath = ()
    for last, step in ((number == len(path), step) for number, step in enumerate(path, start=1)):
        key = _step(data, step, label)
        if last:
            data[key] = value
        elif isinstance(data, dict) and data.get(key) is None:
            data[key] = {}
        data = data[key]
        done = (*done, key)
    return done


def _step(data: Any, step: str, label: str) -> Any:
    if isinstance(data, dict) and step:
        return step
    if isinstance(data, list) and step.isdecimal() and int(step) < len(data):
        return int(step)
    raise SpecError(f"{label}: there is no {step!r} to set; the value before it is no mapping or list that has it")
