"""Answers from a JSONL file: what a request must look like and what it is answered with. The first line that fits wins.

    {"when": {"contains": "banana"}, "json": {"recipe_name": "Banana bread"}}
    {"when": {"regex": "r[0-9]+$", "label": {"case": "refund"}}, "text": "Refunded.", "usage": {"total_tokens": 9}}
    {"when": {"model": "gemini-3.5-flash", "schema": "Invoice"}, "steps": [], "status": "incomplete"}
    {"refuse": "No line of this script fits."}

A recorded interaction, as a GET answers it, is a line too: it answers requests with the same input if it shows its
`input`, else all. Where no line fits the answer is synthetic; `refuse` as the last line turns such requests down.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from batchrun.emulator.answers import dump
from batchrun.emulator.envelopes import refuse
from batchrun.emulator.outcome import Outcome
from batchrun.emulator.prompts import Prompt, plain_text
from batchrun.emulator.replies.steps import Step, checked_errors, checked_steps, checked_usage, writable
from batchrun.emulator.rules.request import Order
from batchrun.emulator.usage import step_tokens
from batchrun.errors import SpecError

_ANSWERS = ("text", "json", "steps", "interaction", "status", "refuse")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class When(_Strict):
    """What a request must look like; all that is given must hold. `schema` is the schema's title."""

    contains: str | None = None
    regex: re.Pattern[str] | None = None
    label: dict[str, str] | None = None
    model: str | None = None
    schema_name: str | None = Field(default=None, alias="schema")

    @field_validator("regex", mode="before")
    @classmethod
    def _compiled(cls, value: object) -> object:
        try:
            return re.compile(value) if isinstance(value, str) else value
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None

    def fits(self, order: Order, text: str) -> bool:
        labels = order.body.get("labels") or {}
        return (
            (self.contains is None or self.contains in text)
            and (self.regex is None or self.regex.search(text) is not None)
            and all(labels.get(name) == value for name, value in (self.label or {}).items())
            and (self.model is None or self.model in (order.model, order.agent))
            and (self.schema_name is None or self.schema_name in _titles(order))
        )


class Line(_Strict):
    """One line of a script."""

    when: When = When()
    text: str | None = None
    json_value: Any = Field(default=None, alias="json")
    steps: list[Step] | None = None
    interaction: dict[str, Any] | None = None
    status: str | None = None
    usage: dict[str, Any] | None = None
    errors: list[dict[str, Any]] | None = None
    refuse: str | None = None

    @field_validator("steps")
    @classmethod
    def _checked(cls, steps: list[Step] | None) -> list[Step] | None:
        return None if steps is None else checked_steps(steps)

    @field_validator("json_value")
    @classmethod
    def _written(cls, value: Any) -> Any:
        return writable(value)

    @field_validator("usage")
    @classmethod
    def _counted(cls, usage: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if usage is None else checked_usage(usage)

    @model_validator(mode="after")
    def _one_answer(self) -> Line:
        names = [name for name in _ANSWERS if name in self.answers]
        if not names or len({*names} - {"status"}) > 1:
            raise ValueError(f"a line has one answer: {', '.join(_ANSWERS)}")
        return self

    @property
    def answers(self) -> set[str]:
        return {"json" if name == "json_value" else name for name in self.model_fields_set}

    def fits(self, order: Order, text: str) -> bool:
        asked = (self.interaction or {}).get("input")
        return self.when.fits(order, text) and (asked is None or plain_text(asked) == text)


@dataclass(frozen=True, slots=True)
class Script:
    """Replies by the lines of a script."""

    #: Its steps may be recordings, whose signatures nobody here can check.
    recorded: ClassVar[bool] = True
    lines: tuple[Line, ...]

    def __call__(self, order: Order, prompt: Prompt, made: Callable[[], Outcome]) -> Outcome:
        text = plain_text(order.body.get("input"))
        line = next((line for line in self.lines if line.fits(order, text)), None)
        if line is None:
            return made()
        if line.refuse is not None:
            raise refuse("failed_precondition", line.refuse)
        return _outcome(line, made())


def load_script(path: Path) -> Script:
    """Raises SpecError with the line that is wrong."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"--replies script:{path}: cannot be read ({error})") from error
    numbered = enumerate(content.split("\n"), 1)
    return Script(tuple(_line(text, f"{path}:{number}") for number, text in numbered if text.strip()))


def _line(text: str, where: str) -> Line:
    try:
        value = json.loads(text)
        if isinstance(value, dict) and value.get("object") == "interaction":
            value = {"interaction": value}
        if isinstance(value, dict) and isinstance(recorded := value.get("interaction"), dict):
            recorded["steps"] = checked_steps(recorded.get("steps") or [])
            recorded["usage"] = checked_usage(recorded.get("usage"))
            recorded["errors"] = checked_errors(recorded.get("errors"))
        return Line.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        known = _keys(first["loc"]) if first["type"] == "extra_forbidden" else None
        raise SpecError(f"{where}: {place + ': ' if place else ''}{known or first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{where}: {error}") from error


def _keys(unknown: tuple[int | str, ...]) -> str:
    """What to say of an unknown key at this place."""
    model = When if len(unknown) > 1 else Line
    return f"unknown key; there are {', '.join(field.alias or name for name, field in model.model_fields.items())}"


def _outcome(line: Line, made: Outcome) -> Outcome:
    """What the line says; what it leaves open is as in the synthetic answer."""
    if line.interaction is not None:
        recorded = line.interaction
        usage = line.usage or recorded.get("usage")
        return Outcome(str(recorded.get("status", "completed")), recorded["steps"], usage, recorded.get("errors"))
    steps = _steps(line, made)
    calls = any(step["type"] == "function_call" for step in steps)
    status = line.status or ("requires_action" if calls else "completed")
    usage = line.usage or (None if status == "failed" else _usage(made.usage, steps))
    return replace(made, status=status, steps=steps, usage=usage, errors=line.errors)


def _steps(line: Line, made: Outcome) -> list[Step]:
    if line.steps is not None:
        return line.steps
    if not line.answers & {"text", "json"}:
        return [] if line.status == "failed" else made.steps
    text = line.text if line.text is not None else dump(line.json_value).decode()
    thoughts = [step for step in made.steps if step["type"] == "thought"]
    return [*thoughts, {"type": "model_output", "content": [{"type": "text", "text": text}]}]


def _usage(made: Mapping[str, Any] | None, steps: list[Step]) -> dict[str, Any]:
    """The synthetic answer's usage with the output tokens of these steps."""
    tokens = step_tokens([step for step in steps if step["type"] in ("model_output", "function_call")])
    usage = dict(made or {})
    spent = usage.get("total_input_tokens", 0) + usage.get("total_thought_tokens", 0)
    listed = [{"modality": modality, "tokens": count} for modality, count in tokens.items() if count]
    counts = {"total_output_tokens": tokens.total(), "output_tokens_by_modality": listed}
    return {**usage, **counts, "total_tokens": spent + tokens.total()}


def _titles(order: Order) -> list[Any]:
    schemas = [form.get("schema") for form in order.formats]
    return [schema.get("title") for schema in schemas if isinstance(schema, dict)]
