"""The forms of `input`: a string, one content block, a list of blocks, one step, a list of steps.

Whatever the form, `steps_of` gives the list of steps that the request means.
"""

from __future__ import annotations

from typing import Any

from batchrun.emulator.envelopes import invalid
from batchrun.emulator.rules.blocks import BLOCKS, check_blocks
from batchrun.emulator.rules.steps import Step, checked_step, kind_of


def steps_of(value: object) -> list[Step]:
    """The steps that an `input` means, checked."""
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, dict):
        return _from_list([value], "input")
    if isinstance(value, list) and value:
        return _from_list(value, "input")
    raise invalid("'input' must be a non-empty string, a content block, or a non-empty list of blocks or steps.")


def _from_text(value: str) -> list[Step]:
    if not value:
        raise invalid("'input' must not be empty.")
    return [{"type": "user_input", "content": [{"type": "text", "text": value}]}]


def _from_list(items: list[Any], where: str) -> list[Step]:
    kinds = {kind_of(item, f"{where}[{index}]") for index, item in enumerate(items)}
    if kinds <= set(BLOCKS):
        return [{"type": "user_input", "content": check_blocks(items, where)}]
    if kinds & set(BLOCKS):
        raise invalid(f"'{where}' mixes content blocks and steps; put the blocks into a user_input step.")
    return [checked_step(item, f"{where}[{index}]") for index, item in enumerate(items)]
