"""How an interaction ends: its status, steps and usage, made from the order and the prompt alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from batchrun.emulator.agents.antigravity import antigravity_turn, over_budget, unfinished
from batchrun.emulator.agents.research import research_turn
from batchrun.emulator.draws import digest
from batchrun.emulator.envelopes import invalid
from batchrun.emulator.functions import Past, due_calls, results_told
from batchrun.emulator.makers.blocks import made_block
from batchrun.emulator.makers.wanted import Wanted, tells_outputs, wanted_media, wants_text
from batchrun.emulator.prompts import Prompt
from batchrun.emulator.replies import synthetic
from batchrun.emulator.replies.schemas import SchemaRefused
from batchrun.emulator.rules.request import Order
from batchrun.emulator.signatures import calls_signed, sign
from batchrun.emulator.tools.billing import with_tools
from batchrun.emulator.tools.choice import uses_of
from batchrun.emulator.tools.citing import cited_whole, shortened, with_claims
from batchrun.emulator.tools.loading import loading
from batchrun.emulator.tools.use import Use
from batchrun.emulator.turns import Turn, spoken
from batchrun.emulator.usage import step_tokens, text_tokens, usage_of

_THINKING = {"minimal": 0, "low": 32, "medium": 96, "high": 256, "xhigh": 512}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an interaction. `extra` holds further fields of it; `late` stamps it as created when it ended."""

    status: str
    steps: list[dict[str, Any]]
    usage: dict[str, Any] | None
    errors: list[dict[str, Any]] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    late: bool = False


def outcome_of(order: Order, prompt: Prompt, carried: Counter[str], past: Past = list) -> Outcome:
    """The undisturbed end. `carried` are tokens of earlier turns, `past` gives their steps to those that look back.

    Raises `Refusal` where the schema is one that the service would not take.
    """
    try:
        turn = _turn(order, prompt, past)
    except SchemaRefused as refused:
        raise invalid(f"The given schema cannot be used: {refused}.") from None
    thoughts = _thought_tokens(order, prompt, sum(step_tokens(turn.steps).values()))
    steps = [*_thinking(order, prompt, turn, thoughts), *(step for use in turn.uses for step in use.steps), *turn.steps]
    usage = usage_of(_input_tokens(order, carried), step_tokens(turn.steps), thoughts, carried)
    usage = with_tools(usage, turn.uses) if turn.uses else usage
    if order.family == "antigravity" and over_budget(order, usage):
        return Outcome("incomplete", unfinished(steps), usage)
    extra = {"outputs": turn.steps[-1].get("content", [])} if tells_outputs(order) else {}
    return Outcome(turn.status, steps, usage, extra=extra, late=turn.late)


def _turn(order: Order, prompt: Prompt, past: Past) -> Turn:
    if not order.tools:
        return _answering(order, prompt, past)
    calls = due_calls(order, prompt, past)
    searched = _searched(order, prompt, calls)
    if calls:
        return Turn("requires_action", calls, searched)
    turn = _answering(order, prompt, past)
    return replace(turn, uses=[*searched, *turn.uses])


def _searched(order: Order, prompt: Prompt, calls: list[dict[str, Any]]) -> list[Use]:
    """The search for the tools of this turn; none for a last answer that needs no more of them."""
    if not calls and order.steps[-1]["type"] == "function_result":
        return []
    return loading(order.tools, {call["name"] for call in calls}, prompt.key)


def _answering(order: Order, prompt: Prompt, past: Past) -> Turn:
    match order.family:
        case "deep-research":
            return research_turn(order, prompt, past)
        case "antigravity":
            return antigravity_turn(order, prompt)
    uses = uses_of(order.tools, prompt.text, prompt.key) if order.tools else []
    if wanted := wanted_media(order):
        return Turn("completed", [_with_media(order, prompt, wanted)], uses)
    block, stopped = _limited(_block(order, prompt, uses), order.generation)
    return Turn("incomplete" if stopped else "completed", [spoken(block)], uses)


def _with_media(order: Order, prompt: Prompt, wanted: list[Wanted]) -> dict[str, Any]:
    """A step with the media that are asked for, after the text where text is asked for too."""
    text = [{"type": "text", "text": _text(order, prompt)}] if wants_text(order) else []
    media = [made_block(each, order.model or "", prompt) for each in wanted]
    return {"type": "model_output", "content": [*text, *media]}


def _block(order: Order, prompt: Prompt, uses: list[Use]) -> dict[str, Any]:
    """The model's text with what it heard from functions and tools."""
    text = _text(order, prompt)
    claims = [claim for use in uses for claim in use.claims]
    if _structured(order) is not None:
        return cited_whole(text, claims)
    return with_claims(text + results_told(order), claims)


def _text(order: Order, prompt: Prompt) -> str:
    structured = _structured(order)
    if structured is not None:
        return synthetic.json_answer(prompt.data, prompt.key, structured.get("schema"))
    return synthetic.text_answer(prompt.text, prompt.key)


def _structured(order: Order) -> Mapping[str, Any] | None:
    return next((form for form in order.formats if form.get("mime_type") == "application/json"), None)


def _limited(block: dict[str, Any], generation: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The text up to a stop sequence and within the token limit, and whether the limit cut it."""
    text = block["text"]
    for stop in generation.get("stop_sequences") or ():
        text = text.partition(stop)[0] if stop else text
    most = generation.get("max_output_tokens")
    told = text if most is None else text[: most * 4]
    return (block if told == block["text"] else shortened(block, told)), told != text


def _thinking(order: Order, prompt: Prompt, turn: Turn, tokens: int) -> list[dict[str, Any]]:
    """The thoughts of a turn. Function calls always follow one, because its signature vouches for them."""
    calls = [step for step in turn.steps if step["type"] == "function_call"]
    if not tokens and not calls:
        return []
    config = order.body.get("agent_config") or order.generation
    told = config.get("thinking_summaries") == "auto"
    summaries = (turn.summaries or [f"{synthetic.MARK} No model thought about this."]) if told else [""]
    return [_thought(prompt, number, text, calls) for number, text in enumerate(summaries)]


def _thought(prompt: Prompt, number: int, summary: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
    signature = sign(bytes([number]) + prompt.key, calls_signed(calls))
    step: dict[str, Any] = {"type": "thought", "signature": signature}
    return {**step, "summary": [{"type": "text", "text": summary}]} if summary else step


def _thought_tokens(order: Order, prompt: Prompt, answer: int) -> int:
    """Thoughts and answer share `max_output_tokens`: the service counts them together (python-genai issue 2062)."""
    most = _THINKING[order.generation.get("thinking_level", "low")]
    tokens = most // 2 + digest("thoughts", prompt.key)[0] * most // 512 if most else 0
    limit = order.generation.get("max_output_tokens")
    return tokens if limit is None else min(tokens, max(0, limit - answer))


def _input_tokens(order: Order, carried: Counter[str]) -> Counter[str]:
    tokens = step_tokens(order.steps)
    if carried:
        tokens += carried
    tokens["text"] += text_tokens(order.body.get("system_instruction", ""))
    return tokens
