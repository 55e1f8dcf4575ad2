"""Deep research: a plan to agree on if one is asked for, else searches, pages and a long report with sources."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from batchrun.emulator.agents.charts import chart
from batchrun.emulator.draws import digest
from batchrun.emulator.prompts import Prompt
from batchrun.emulator.replies.synthetic import MARK, text_answer
from batchrun.emulator.rules.request import Order
from batchrun.emulator.rules.steps import Step
from batchrun.emulator.tools.choice import uses_of
from batchrun.emulator.tools.citing import with_claims
from batchrun.emulator.turns import Turn, spoken

_DEFAULT_TOOLS: list[dict[str, Any]] = [{"type": "google_search"}]
_PICTURES = re.compile(r"\b(?:charts?|graphs?|plots?|diagrams?|visuali[sz]\w*|infographics?)\b", re.IGNORECASE)
_SECTIONS = ("Summary", "Background", "Findings", "Open questions")


def research_turn(order: Order, prompt: Prompt, past: Callable[[], list[Step]]) -> Turn:
    config = order.body.get("agent_config") or {}
    if config.get("collaborative_planning"):
        return Turn("completed", [spoken({"type": "text", "text": _plan(prompt)})], late=True)
    topic = _topic(past() if "previous_interaction_id" in order.body else [], prompt)
    uses = [
        use
        for number in range(2 + digest("searches", prompt.key)[0] % 3)
        for use in uses_of(order.tools or _DEFAULT_TOOLS, topic, digest("search", prompt.key, number))
    ]
    report = spoken(with_claims(_report(topic, prompt), (claim for use in uses for claim in use.claims)))
    if config.get("visualization", "auto") == "auto" and _PICTURES.search(f"{topic} {prompt.text}"):
        report["content"].append(chart(prompt.key))
    summaries = [f"{MARK} Searching for what is known about “{topic[:60]}”.", f"{MARK} Writing the report."]
    return Turn("completed", [report], uses, summaries, late=True)


def _topic(past: list[Step], prompt: Prompt) -> str:
    """What the research is about: the first words of the chain, of which the plan was made."""
    words = [
        block["text"]
        for step in past
        if step["type"] == "user_input"
        for block in step["content"]
        if block["type"] == "text"
    ]
    return words[0] if words else prompt.text


def _plan(prompt: Prompt) -> str:
    asked = " ".join(prompt.text.split())[:80]
    steps = ["Look for sources", "Read and compare them", "Write a report with citations"]
    numbered = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    return f"{MARK} Research plan {digest('plan', prompt.key).hex()[:6]} for “{asked}”:\n{numbered}\nShall I begin?"


def _report(topic: str, prompt: Prompt) -> str:
    parts = [f"## {name}\n{text_answer(topic, digest(name, prompt.key))}" for name in _SECTIONS]
    return f"# {MARK} {' '.join(topic.split())[:80]}\n" + "\n".join(parts)
