"""The steps of the turns that a chain has behind it, read from what was kept of them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from batchrun.emulator.envelopes import Refusal
from batchrun.emulator.reading import read_body
from batchrun.emulator.rules.content import steps_of
from batchrun.emulator.rules.steps import Step
from batchrun.emulator.storage import Kept, Store

_MOST_TURNS = 200


def timeline(store: Store, parent: Kept | None) -> list[Step]:
    """Inputs and outputs of a chain that ends with `parent`, oldest first."""
    turns: list[list[Step]] = []
    while parent is not None and len(turns) < _MOST_TURNS:
        asked = asked_of(store, parent)
        turns.append([*_inputs(asked), *outputs_of(parent)])
        before = asked.get("previous_interaction_id")
        parent = store.find(before) if isinstance(before, str) else None
    return [step for turn in reversed(turns) for step in turn]


def asked_of(store: Store, kept: Kept) -> dict[str, Any]:
    """The request that made an interaction; empty if it is not there any more."""
    try:
        return read_body(store.request(kept.id))
    except Refusal:
        return {}


def outputs_of(kept: Kept) -> list[Step]:
    """The steps that an interaction came to."""
    steps: list[Step] = _document(kept).get("steps") or []
    return steps


def carried_from(kept: Kept) -> Counter[str]:
    """Tokens by modality that the next turn of a chain carries along: inputs and outputs, without thoughts."""
    usage = _document(kept).get("usage") or {}
    tokens: Counter[str] = Counter()
    for name in ("input_tokens_by_modality", "output_tokens_by_modality"):
        for entry in usage.get(name) or ():
            tokens[entry["modality"]] += entry["tokens"]
    return tokens if tokens.total() == kept.context_tokens else Counter(text=kept.context_tokens)


def _document(kept: Kept) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(kept.head + kept.tail)
    except (ValueError, RecursionError):  # without an end, or spoiled on purpose
        return {}
    return document


def _inputs(asked: dict[str, Any]) -> list[Step]:
    try:
        return steps_of(asked.get("input"))
    except Refusal:
        return []
