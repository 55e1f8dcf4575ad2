"""`steps.jsonl`: every step of every answered attempt, one a line, and what functions gave that it called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from batchrun.outputs.jsonl import line
from batchrun.rows import key_within
from batchrun.store.records import AttemptRecord, ToolCallRecord


def step_lines(attempt: AttemptRecord, calls: Iterable[ToolCallRecord]) -> Iterator[bytes]:
    """The lines of an attempt that holds its `raw` answer, then those of the functions that were run for it."""
    interaction = attempt.answer()
    about = {
        "key": key_within(attempt.stage, attempt.key),
        "stage": attempt.stage,
        "exchange": attempt.exchange,
        "turn": attempt.turn,
        "attempt": attempt.number,
        "superseded": attempt.superseded_at is not None,
        "interaction_id": attempt.interaction_id,
    }
    ours = (call.step for call in calls if call.ended_at is not None)
    for index, step in enumerate((*(interaction.steps if interaction else ()), *ours)):
        yield _line({**about, "index": index}, step)


def _line(about: dict[str, object], step: dict[str, object]) -> bytes:
    """A step nested so deep that it could be read but not written is null; the checkpoint has it."""
    try:
        return line({**about, "step": step})
    except RecursionError:
        return line({**about, "step": None})
