"""What an answer is made from: the text of the prompt and a key that belongs to everything that was asked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from batchrun.emulator.answers import dump
from batchrun.emulator.draws import digest
from batchrun.emulator.media.opening import look
from batchrun.emulator.media.pages import text_seen
from batchrun.emulator.rules.request import Order

_TAG = re.compile(r"<(/?)(\w{1,40})(?: [^>]{0,200})?>")
_FENCES = ("```", '"""')


@dataclass(frozen=True, slots=True)
class Prompt:
    """`text` is what the user wrote, `data` is where the values of an answer are looked for.

    `key` differs for every different prompt, history and system instruction.
    """

    text: str
    key: bytes
    data: str

    @classmethod
    def of(cls, order: Order, history: bytes, seed: int) -> Prompt:
        asked = dump([order.body.get("system_instruction"), order.steps])
        text = "\n".join(_texts(order.steps))
        documents = list(_documents(order.steps))
        data = "\n".join(documents) if documents else set_off(text)
        return cls(text, digest("prompt", seed, history, asked), data)


def set_off(text: str) -> str:
    """The longest part of a prompt that tags, code fences or triple quotes set off as data; all of it if there is none.

    What stands around such a part tells what to do with it and would be taken for values.
    """
    if not any(mark in text for mark in ("</", *_FENCES)):
        return text
    return max(_set_off_parts(text.split("\n")), key=len, default=text)


def _set_off_parts(lines: list[str]) -> Iterator[str]:
    """What stands between a line that opens a part and the one that closes it."""
    opened: dict[str, int] = {}
    for number, line in enumerate(lines):
        tag = _TAG.fullmatch(line.strip())
        fence = next((mark for mark in _FENCES if line.startswith(mark)), None)
        if tag and not tag[1]:
            opened.setdefault(tag[2], number)
        elif fence and fence not in opened:
            opened[fence] = number
        elif (name := fence or (tag[2] if tag else None)) and name in opened:
            yield "\n".join(lines[opened.pop(name) + 1 : number])


def _texts(steps: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for step in steps:
        if step["type"] == "user_input":
            yield from (block["text"] for block in step["content"] if block["type"] == "text")
        elif step["type"] == "function_result" and isinstance(step["result"], str):
            yield step["result"]


def _documents(steps: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The text of each document that came along; empty for a scan, whose values are in no text at all."""
    for step in steps:
        if step["type"] == "user_input":
            for block in step["content"]:
                if block["type"] == "document" and (medium := look(block)) is not None:
                    yield text_seen(block, medium)


def plain_text(value: object) -> str:
    """The text of an `input` that has not been checked, for fault rules that look for a part of it."""
    if isinstance(value, str):
        return value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return "\n".join(filter(None, map(plain_text, items)))
