"""What the transforms and the model of random pipelines do: functions of what they are given, of nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from batchrun.emulator.outcome import Outcome
from batchrun.emulator.prompts import Prompt, plain_text
from batchrun.emulator.rules.request import Order

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@dataclass(frozen=True, slots=True)
class Said:
    """How a request ends, whoever asks: an outcome of the row, and its output."""

    outcome: str
    output: Any = None


def said_to(text: str, *, schema: bool) -> Said:
    """What the model says to a prompt. Some it never answers well."""
    drawn = int.from_bytes(sha256(text.encode()).digest()[:4])
    match drawn % 17:
        case 0:
            return Said("failed")
        case 1:
            return Said("incomplete")
        case 2 if schema:
            return Said("invalid_output")
    number = drawn // 17 % 7
    return Said("succeeded", {"n": number} if schema else f"t{number}")


def model(order: Order, prompt: Prompt, made: Any) -> Outcome:
    """The emulator's replies by `said_to`."""
    schema = "response_format" in order.body
    said = said_to(plain_text(order.body.get("input")), schema=schema)
    usage = made().usage
    if said.outcome == "failed":
        return Outcome("failed", [], None)
    text = "[]" if said.outcome == "invalid_output" else said.output
    if isinstance(text, dict):
        text = f'{{"n": {text["n"]}}}'
    steps = [{"type": "model_output", "content": [{"type": "text", "text": text or "cut"}]}]
    return Outcome("incomplete" if said.outcome == "incomplete" else "completed", steps, usage)


def number(output: Any) -> int:
    """What counts of an output."""
    if isinstance(output, dict):
        return int(output["n"])
    return 0 if output is None else len(output) + ord(output[-1])


def total(row: Mapping[str, Any]) -> int:
    """What counts of a row."""
    return int(row.get("n") or 0) + sum(number(each["output"]) for each in row["stages"].values())


def work(kind: str, salt: int, given: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> Any:
    """A transform of this kind over a row, or over the rows of a batch."""
    rows = [given] if isinstance(given, Mapping) else list(given)
    found = salt + sum(total(row) * (place + 1) for place, row in enumerate(rows))
    if kind == "filter" and found % 3 == 0:
        return None
    if kind == "raise" and found % 4 == 0:
        raise ValueError(f"no {found}")
    if kind == "explode":
        return [{"n": found % 5 + place} for place in range(found % 4)]
    return {"n": found % 11}
