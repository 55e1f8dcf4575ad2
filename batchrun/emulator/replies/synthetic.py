"""Answers made up from the prompt: same prompt and schema, same answer. Invented text says that it is emulated."""

from __future__ import annotations

from typing import Any

from batchrun.emulator.answers import dump
from batchrun.emulator.draws import digest
from batchrun.emulator.replies.documents import DocumentWriter
from batchrun.emulator.replies.facts import Facts

MARK = "[emulated]"
_FILLER = (
    "no model wrote this text it only stands where an answer would stand so that a job can be tried out "
    "before it costs anything words lines and tokens are counted as usual"
)
_WORDS = _FILLER.split()
#: The words again and again: an answer is a piece of them, wherever it begins.
_AROUND = _WORDS * 4


def text_answer(prompt: str, key: bytes) -> str:
    """A marked text of 20 to 83 words."""
    drawn = digest("text", key)
    count = 12 + drawn[0] % 64
    start = drawn[1] % len(_WORDS)
    filler = _AROUND[start : start + count]
    return f"{MARK} Made-up answer {drawn.hex()[:8]} to a prompt of {len(prompt)} characters: {' '.join(filler)}."


def json_answer(prompt: str, key: bytes, schema: Any) -> str:
    """A JSON document that satisfies the schema, with values from the prompt where names and types allow.

    Raises SchemaRefused if the schema is broken, too complex or cannot be satisfied.
    """
    if schema is None:
        return dump({"emulated": True, "answer": text_answer(prompt, key)}).decode()
    return dump(DocumentWriter(schema, Facts(prompt), key).write()).decode()


def arguments(prompt: str, key: bytes, parameters: Any) -> dict[str, Any]:
    """Arguments for a function call; an empty object where the parameters describe none."""
    value = DocumentWriter(parameters or {"type": "object"}, Facts(prompt), key).write()
    return value if isinstance(value, dict) else {}
