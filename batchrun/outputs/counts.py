"""The counts in a usage object of the Interactions API, by the name of their column. Pure and lenient.

Facts: Api-Revision 2026-05-20, `usage`. A count that is missing, negative, no integer or beyond 64 bits has no entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from batchrun.interactions.models import Interaction
from batchrun.interactions.usage import by_modality, count, queries
from batchrun.store.records import AttemptRecord, AttemptState

TOTALS = (
    "total_input_tokens",
    "total_output_tokens",
    "total_thought_tokens",
    "total_cached_tokens",
    "total_tool_use_tokens",
    "total_tokens",
    "initial_input_tokens",
)
FAMILIES = ("input", "output", "cached", "tool_use")
MODALITIES = ("text", "image", "audio", "video", "document")
_UNDER_WAY = (AttemptState.INTENT, AttemptState.SUBMITTED)


def counts_of(usage: dict[str, Any] | None) -> dict[str, int]:
    """Every count in `usage` by column name, such as `input_text_tokens`; kinds without a column of ours included."""
    if not usage:
        return {}
    counts = _totals(usage)
    for family in FAMILIES:
        for kind, tokens in by_modality(usage, family):
            _add(counts, f"{family}_{kind}_tokens", tokens)
    for kind, asked in queries(usage):
        _add(counts, f"{kind}_count", asked)
    return counts


def total_usage(attempts: Iterable[AttemptRecord]) -> dict[str, int | None]:
    """The TOTALS over all attempts (null where no attempt reported one), and how many attempts' usage is unknown.

    `attempts_without_usage` counts those that were or may have been billed, are no longer under way and have no usage
    object: the totals are then a lower bound.
    """
    totals: dict[str, int | None] = dict.fromkeys(TOTALS)
    missing = 0
    for attempt in attempts:
        awaited = attempt.state in _UNDER_WAY and attempt.superseded_at is None
        missing += attempt.usage is None and attempt.billed is not False and not awaited
        for name, tokens in _totals(attempt.usage or {}).items():
            totals[name] = (totals[name] or 0) + tokens
    return {**totals, "attempts_without_usage": missing}


def search_queries(raw: bytes | None) -> int | None:
    """The queries that an answer's Google searches made, which are billed apart; None where there is no answer."""
    interaction = None if raw is None else Interaction.parse(raw) if b"google_search_call" in raw else _NO_SEARCH
    if interaction is None:
        return None
    calls = (step.get("arguments") for _, step in interaction.own_steps if step.get("type") == "google_search_call")
    asked = (call.get("queries") for call in calls if isinstance(call, dict))
    return sum(len(each) for each in asked if isinstance(each, list))


_NO_SEARCH = Interaction({})


def _totals(usage: dict[str, Any]) -> dict[str, int]:
    return {name: found for name in TOTALS if (found := count(usage, name)) is not None}


def _add(counts: dict[str, int], name: str, more: int) -> None:
    total = counts.get(name, 0) + more
    if total < 2**63:
        counts[name] = total
