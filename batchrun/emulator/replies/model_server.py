"""A model server that answers in the place of the service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from batchrun.emulator.outcome import Outcome
from batchrun.emulator.prompts import Prompt
from batchrun.emulator.rules.request import Order

#: The end of an interaction that a model server is asked for; compare with `is`.
ASKED = Outcome("in_progress", [], None)


def asked_or_made(outcome: Outcome) -> Outcome:
    """A model server makes text; pictures, sound and video stay made up. What the service would refuse was refused."""
    blocks = [block for step in outcome.steps for block in step.get("content") or () if step["type"] == "model_output"]
    return ASKED if all(block["type"] == "text" for block in blocks) else outcome


@dataclass(frozen=True, slots=True)
class ModelServer:
    """An OpenAI-compatible server. `url` ends before `/chat/completions`; `at_once` requests are open at most.

    Without `model` it is asked for the model that the job names. One that is `text_only` is sent no media. `engine` is
    kept alive as long as the server is used.
    """

    url: str
    model: str | None = None
    at_once: int = 4
    text_only: bool = False
    engine: Any = field(default=None, compare=False, repr=False)

    def __call__(self, order: Order, prompt: Prompt, made: Callable[[], Outcome]) -> Outcome:
        return asked_or_made(made())

    def opened(self) -> ModelServer:
        return self
