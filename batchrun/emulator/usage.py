"""Token counts: about four characters a token, and the documented sum total = input + output + thought."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from batchrun.emulator.answers import dump
from batchrun.emulator.media.counting import media_tokens


def text_tokens(text: str) -> int:
    return (len(text) + 3) // 4


def step_tokens(steps: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Tokens of steps by modality."""
    tokens: Counter[str] = Counter()
    for step in steps:
        for modality, count in _parts(step):
            tokens[modality] += count
    return tokens


def _parts(step: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    match step["type"]:
        case "user_input" | "model_output":
            yield from map(_block_tokens, step.get("content") or ())
        case "function_call":
            yield "text", text_tokens(step["name"] + dump(step["arguments"]).decode())
        case "function_result":
            result = step["result"]
            blocks: list[dict[str, Any]]
            blocks = result if isinstance(result, list) else [{"type": "text", "text": _as_text(result)}]
            yield from map(_block_tokens, blocks)
        case "thought":
            return
        case _:
            yield "text", text_tokens(dump(step).decode())


def _as_text(result: object) -> str:
    return result if isinstance(result, str) else dump(result).decode()


def _block_tokens(block: Mapping[str, Any]) -> tuple[str, int]:
    if block["type"] == "text":
        return "text", text_tokens(block["text"])
    if block["type"] == "function":
        return "text", text_tokens(dump(block).decode())
    return block["type"], media_tokens(block)


def usage_of(
    inputs: Counter[str], outputs: Counter[str], thoughts: int, cached: Counter[str] | None = None
) -> dict[str, Any]:
    """The usage object of an interaction. Thoughts are counted beside the output, `cached` is a part of the input."""
    total_in, total_out = inputs.total(), outputs.total()
    usage: dict[str, Any] = {
        "total_tokens": total_in + total_out + thoughts,
        "total_input_tokens": total_in,
        "input_tokens_by_modality": _listed(inputs),
        "total_cached_tokens": cached.total() if cached else 0,
        "total_output_tokens": total_out,
        "output_tokens_by_modality": _listed(outputs),
        "total_tool_use_tokens": 0,
        "total_thought_tokens": thoughts,
    }
    if cached:
        usage["cached_tokens_by_modality"] = _listed(cached)
    return usage


def _listed(tokens: Counter[str]) -> list[dict[str, Any]]:
    return [{"modality": modality, "tokens": count} for modality, count in tokens.items() if count]
