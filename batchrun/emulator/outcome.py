"""How an interaction ends: its status, steps and usage, made from the order and the prompt alone."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from batchrun.emulator.draws import digest
from batchrun.emulator.envelopes import invalid
from batchrun.emulator.prompts import Prompt
from batchrun.emulator.replies import synthetic
from batchrun.emulator.replies.schemas import SchemaRefused
from batchrun.emulator.rules.request import Order
from batchrun.emulator.usage import step_tokens, text_tokens, usage_of

_THINKING = {"minimal": 0, "low": 32, "medium": 96, "high": 256, "xhigh": 512}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an interaction. `extra` holds further fields of the interaction."""

    status: str
    steps: list[dict[str, Any]]
    usage: dict[str, Any] | None
    errors: list[dict[str, Any]] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def outcome_of(order: Order, prompt: Prompt, context_tokens: int) -> Outcome:
    """The undisturbed end. Raises `Refusal` where the schema is one that the service would not take."""
    try:
        status, step = _answer(order, prompt)
    except SchemaRefused as refused:
        raise invalid(f"The given schema cannot be used: {refused}.") from None
    thoughts = _thought_tokens(order, prompt)
    steps = [*([_thought(order, prompt)] if thoughts else []), step]
    inputs = _input_tokens(order, context_tokens)
    return Outcome(status, steps, usage_of(inputs, step_tokens([step]), thoughts, context_tokens))


def _answer(order: Order, prompt: Prompt) -> tuple[str, dict[str, Any]]:
    function = _function_to_call(order)
    if function is not None:
        return "requires_action", _call(function, prompt)
    text, stopped = _limited(_text(order, prompt), order.generation)
    step = {"type": "model_output", "content": [{"type": "text", "text": text}]}
    return "incomplete" if stopped else "completed", step


def _text(order: Order, prompt: Prompt) -> str:
    structured = next((form for form in order.formats if form.get("mime_type") == "application/json"), None)
    if structured is not None:
        return synthetic.json_answer(prompt.text, prompt.key, structured.get("schema"))
    return synthetic.text_answer(prompt.text, prompt.key)


def _limited(text: str, generation: Mapping[str, Any]) -> tuple[str, bool]:
    """The text up to a stop sequence and within the token limit, and whether the limit cut it."""
    for stop in generation.get("stop_sequences") or ():
        text = text.partition(stop)[0] if stop else text
    most = generation.get("max_output_tokens")
    if most is None or text_tokens(text) <= most:
        return text, False
    return text[: most * 4], True


def _function_to_call(order: Order) -> Mapping[str, Any] | None:
    """The first declared function that the tool choice allows; none right after a function's result."""
    if order.steps[-1]["type"] == "function_result":
        return None
    choice = order.generation.get("tool_choice")
    allowed = choice.get("allowed_tools") or {} if isinstance(choice, dict) else {"mode": choice}
    if allowed.get("mode") == "none":
        return None
    named = allowed.get("tools")
    functions = (tool for tool in order.tools if tool["type"] == "function")
    return next((tool for tool in functions if not named or tool["name"] in named), None)


def _call(function: Mapping[str, Any], prompt: Prompt) -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": f"call_{digest('call', prompt.key).hex()[:16]}",
        "name": function["name"],
        "arguments": synthetic.arguments(prompt.text, prompt.key, function.get("parameters")),
    }


def _thought(order: Order, prompt: Prompt) -> dict[str, Any]:
    step: dict[str, Any] = {"type": "thought", "signature": b64encode(digest("thought", prompt.key) * 2).decode()}
    config = order.body.get("agent_config") or order.generation
    if config.get("thinking_summaries") == "auto":
        summary = f"{synthetic.MARK} No model thought about this."
        step["summary"] = [{"type": "text", "text": summary}]
    return step


def _thought_tokens(order: Order, prompt: Prompt) -> int:
    most = _THINKING[order.generation.get("thinking_level", "low")]
    return most // 2 + digest("thoughts", prompt.key)[0] * most // 512 if most else 0


def _input_tokens(order: Order, context_tokens: int) -> Counter[str]:
    tokens = step_tokens(order.steps)
    tokens["text"] += context_tokens + text_tokens(order.body.get("system_instruction", ""))
    return tokens
