"""What tools add to the usage: tokens that they read, beside the documented sum, and groundings by piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from batchrun.emulator.tools.use import Use
from batchrun.emulator.usage import text_tokens


def with_tools(usage: dict[str, Any], uses: Iterable[Use]) -> dict[str, Any]:
    tokens, groundings = 0, Counter[str]()
    for use in uses:
        tokens += text_tokens(use.read)
        groundings.update(use.grounding)
    if not tokens:
        return usage
    listed = [{"type": kind, "count": count} for kind, count in groundings.items()]
    return {
        **usage,
        "total_tool_use_tokens": tokens,
        "tool_use_tokens_by_modality": [{"modality": "text", "tokens": tokens}],
        **({"grounding_tool_count": listed} if listed else {}),
    }
