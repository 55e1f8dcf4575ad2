"""What an answer is made from: the text of the prompt and a key that belongs to everything that was asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from batchrun.emulator.answers import dump
from batchrun.emulator.draws import digest
from batchrun.emulator.rules.request import Order


@dataclass(frozen=True, slots=True)
class Prompt:
    """`text` is what the user wrote, `key` differs for every different prompt, history and system instruction."""

    text: str
    key: bytes

    @classmethod
    def of(cls, order: Order, history: bytes, seed: int) -> Prompt:
        asked = dump([order.body.get("system_instruction"), order.steps])
        return cls("\n".join(_texts(order.steps)), digest("prompt", seed, history, asked))


def _texts(steps: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for step in steps:
        if step["type"] == "user_input":
            yield from (block["text"] for block in step["content"] if block["type"] == "text")
        elif step["type"] == "function_result" and isinstance(step["result"], str):
            yield step["result"]


def plain_text(value: object) -> str:
    """The text of an `input` that has not been checked, for fault rules that look for a part of it."""
    if isinstance(value, str):
        return value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return "\n".join(filter(None, map(plain_text, items)))
