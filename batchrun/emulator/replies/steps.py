"""Steps that a script has, checked for what clients, streams and token counts rely on; the rest goes out as it is."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from batchrun.emulator.answers import dump
from batchrun.emulator.envelopes import Refusal
from batchrun.emulator.media.counting import media_tokens

Step = dict[str, Any]
#: Stands in for the signature of a scripted thought that has none.
_SIGNATURE = "c2NyaXB0ZWQ="
_MEDIA = ("image", "audio", "video", "document")
_MOST_TOKENS = 2**53


def checked_steps(steps: Any) -> list[Step]:
    """The steps, with what a script may leave out. Raises ValueError."""
    if not isinstance(steps, list):
        raise ValueError("'steps' is a list")
    return [_step(step) for step in steps]


def checked_usage(usage: Any) -> dict[str, Any] | None:
    """Raises ValueError for what is no usage object; its totals are numbers of tokens."""
    if usage is None:
        return None
    if not isinstance(usage, dict):
        raise ValueError("'usage' is an object")
    for name, count in usage.items():
        if name.startswith("total_") and not (type(count) is int and 0 <= count <= _MOST_TOKENS):
            raise ValueError(f"{name!r} in 'usage' is a number of tokens")
    return usage


def checked_errors(errors: Any) -> list[dict[str, Any]] | None:
    """Raises ValueError for what is no list of errors."""
    if errors is not None and not (isinstance(errors, list) and all(isinstance(each, dict) for each in errors)):
        raise ValueError("'errors' is a list of objects")
    return errors


def _step(step: Any) -> Step:
    kind = step.get("type") if isinstance(step, dict) else None
    if not isinstance(kind, str):
        raise ValueError("a step is an object with a 'type'")
    match kind:
        case "thought":
            return _thought({"signature": _SIGNATURE, **step})
        case "function_call":
            if not isinstance(step.get("name"), str) or not isinstance(step.get("arguments"), dict):
                raise ValueError("a function_call has a 'name' and 'arguments'")
            return {"id": f"call_{step['name']}", **writable(step)}
        case "model_output" | "user_input":
            return {**step, "content": _blocks(step.get("content"))}
    return dict(writable(step))


def writable(value: Any) -> Any:
    """The value, of which text is made. Raises ValueError where that cannot be."""
    try:
        dump(value)
    except UnicodeEncodeError:
        raise ValueError("half a surrogate pair can be in a 'text' only") from None
    return value


def _thought(step: Step) -> Step:
    if not isinstance(step.get("summary") or [], list):
        raise ValueError("the 'summary' of a thought is a list")
    return step


def _blocks(content: Any) -> list[Step]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    blocks = content if isinstance(content, list) else []
    for block in blocks:
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise ValueError("content is a list of blocks with a 'type'")
        if block["type"] == "text" and not isinstance(block.get("text"), str):
            raise ValueError("a text block has a 'text'")
        if block["type"] in _MEDIA:
            _check_medium(block)
        elif block["type"] != "text":
            writable(block)
    return blocks


def _check_medium(block: Step) -> None:
    for name in ("data", "uri", "mime_type"):
        if not isinstance(block.get(name, ""), str):
            raise ValueError(f"the {name!r} of a block of type {block['type']} is text")
    try:
        with suppress(Refusal):  # told to the request, if its tokens have to be counted
            media_tokens(block)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise ValueError(f"a block of type {block['type']} has a field of a wrong type ({error})") from None
