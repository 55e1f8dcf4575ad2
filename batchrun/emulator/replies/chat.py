"""A request as an OpenAI-compatible server takes it, and its answer as the end of an interaction. Sends nothing."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from batchrun.emulator.answers import dump
from batchrun.emulator.functions import allowed_functions
from batchrun.emulator.outcome import Outcome
from batchrun.emulator.replies.schemas import with_plain_types
from batchrun.emulator.rules.request import Order

Step = Mapping[str, Any]
Message = dict[str, Any]
#: A content block as a part of a message; may have to wait for a document to be read.
PartOf = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
_SETTINGS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "max_output_tokens": "max_tokens",
    "stop_sequences": "stop",
}
#: Modes of `tool_choice` that are not what a server does by itself.
_CHOICES = {"any": "required", "none": "none"}
_SHOWN = "Answer with one JSON document that satisfies this JSON Schema, and with nothing else:\n"


class NotUnderstood(Exception):
    """An answer of the model server that is none. The message says what is wrong with it."""


async def chat_request(order: Order, steps: Sequence[Step], model: str | None, part_of: PartOf) -> dict[str, Any]:
    """The body of a chat completion. `steps` are those of the whole conversation."""
    messages = [await _message(step, part_of) for step in steps if step["type"] in _ROLES]
    return {
        "model": model or order.model or order.agent,
        "messages": [*_system(order), *_merged(messages)],
        **{theirs: order.generation[ours] for ours, theirs in _SETTINGS.items() if ours in order.generation},
        **_response_format(order),
        **_tools(order),
    }


def _json_form(order: Order) -> Mapping[str, Any] | None:
    return next((form for form in order.formats if form.get("mime_type") == "application/json"), None)


def _system(order: Order) -> list[Message]:
    """The system instruction, and the schema: a grammar alone does not tell a model what is wanted."""
    parts = [order.body.get("system_instruction") or ""]
    form = _json_form(order)
    if form is not None and form.get("schema") is not None:
        parts.append(_SHOWN + dump(with_plain_types(form["schema"])).decode())
    text = "\n\n".join(filter(None, parts))
    return [{"role": "system", "content": text}] if text else []


def _response_format(order: Order) -> dict[str, Any]:
    form = _json_form(order)
    if form is None:
        return {}
    schema = form.get("schema")
    if schema is None:
        return {"response_format": {"type": "json_object"}}
    name = {"name": "answer", "strict": True, "schema": with_plain_types(schema)}
    return {"response_format": {"type": "json_schema", "json_schema": name}}


def _tools(order: Order) -> dict[str, Any]:
    mode, functions = allowed_functions(order)
    if not functions:
        return {}
    choice = {"tool_choice": _CHOICES[mode]} if mode in _CHOICES else {}
    return {"tools": [{"type": "function", "function": _function(tool)} for tool in functions], **choice}


def _function(tool: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: tool[name] for name in ("name", "description") if tool.get(name) is not None}
    parameters = tool.get("parameters")
    return given if parameters is None else {**given, "parameters": with_plain_types(parameters)}


_ROLES = {"user_input": "user", "model_output": "assistant", "function_call": "assistant", "function_result": "tool"}


async def _message(step: Step, part_of: PartOf) -> Message:
    role = _ROLES[step["type"]]
    match step["type"]:
        case "function_call":
            function = {"name": step["name"], "arguments": dump(step["arguments"]).decode()}
            return {"role": role, "tool_calls": [{"id": step["id"], "type": "function", "function": function}]}
        case "function_result":
            return {"role": role, "tool_call_id": step["call_id"], "content": _result(step["result"])}
        case "model_output":
            return {"role": role, "content": _text(step.get("content") or ())}
    parts = [await part_of(block) for block in step.get("content") or ()]
    plain = all(part["type"] == "text" for part in parts)
    return {"role": role, "content": "\n\n".join(part["text"] for part in parts) if plain else parts}


def _merged(messages: Sequence[Message]) -> list[Message]:
    """Calls that were made together, and the text before them, as one message."""
    merged: list[Message] = []
    for message in messages:
        if "tool_calls" in message and merged and merged[-1]["role"] == "assistant":
            calls = [*merged[-1].get("tool_calls", ()), *message["tool_calls"]]
            merged[-1] = {**merged[-1], "tool_calls": calls}
        else:
            merged.append(message)
    return merged


def _result(result: Any) -> str:
    if isinstance(result, list):
        return _text(result)
    return result if isinstance(result, str) else dump(result).decode()


def _text(blocks: Sequence[Mapping[str, Any]]) -> str:
    return "".join(block["text"] for block in blocks if block["type"] == "text")


def outcome_from(document: Any) -> Outcome:
    """The end that a chat completion means. Raises NotUnderstood."""
    try:
        choice = document["choices"][0]
        message, reason = choice["message"], choice.get("finish_reason")
        text, calls = message.get("content") or "", message.get("tool_calls") or []
        steps = [_said(text)] if text or not calls else []
        steps += [_call(call, number) for number, call in enumerate(calls)]
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise NotUnderstood(f"no chat completion: {type(error).__name__} {error}") from error
    usage = document.get("usage")
    return Outcome(_status(reason, calls), steps, _usage(usage) if isinstance(usage, dict) else None)


def _status(reason: Any, calls: Any) -> str:
    if reason == "length":
        return "incomplete"
    return "requires_action" if calls else "completed"


def _said(text: Any) -> dict[str, Any]:
    if not isinstance(text, str):
        raise TypeError("content is not a string")
    return {"type": "model_output", "content": [{"type": "text", "text": text}]}


def _call(call: Mapping[str, Any], number: int) -> dict[str, Any]:
    function = call["function"]
    given = function.get("arguments") or "{}"
    arguments = _json_object(given) if isinstance(given, str) else given
    name = call.get("id") or f"call_{number}"
    return {"type": "function_call", "id": name, "name": str(function["name"]), "arguments": arguments}


def _json_object(text: str) -> dict[str, Any]:
    """Raises ValueError for what is no JSON object."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("arguments are no JSON object")
    return value


def _usage(given: Mapping[str, Any]) -> dict[str, Any]:
    """Their counts under our names; what they do not tell is left out. Their completion includes the reasoning."""
    inputs, outputs = _count(given, "prompt_tokens"), _count(given, "completion_tokens")
    thoughts = _count(given.get("completion_tokens_details"), "reasoning_tokens")
    cached = _count(given.get("prompt_tokens_details"), "cached_tokens")
    counts = {
        "total_tokens": _count(given, "total_tokens"),
        "total_input_tokens": inputs,
        "total_cached_tokens": cached,
        "total_output_tokens": None if outputs is None else outputs - (thoughts or 0),
        "total_thought_tokens": thoughts,
    }
    return {name: count for name, count in counts.items() if count is not None}


def _count(given: Any, name: str) -> int | None:
    value = given.get(name) if isinstance(given, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
