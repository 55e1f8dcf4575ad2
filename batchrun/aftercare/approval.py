"""The user's word on research plans that wait for it. It goes on record; the next `run` sends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batchrun.engine.conversation import Word
from batchrun.errors import SpecError
from batchrun.interactions.models import Interaction
from batchrun.runs.directory import RunDir
from batchrun.runs.opening import open_existing
from batchrun.runs.signals import stopping_at_once
from batchrun.spec.load import Job
from batchrun.store import reopening
from batchrun.store.reader import Reader


@dataclass(frozen=True, slots=True)
class Plan:
    """A research plan that waits. `text` is empty where the agent has said nothing."""

    key: str
    attempt_id: int
    text: str


def plans(directory: RunDir) -> tuple[list[Plan], str]:
    """The plans that wait for a word, in input order, and the run's target. Raises SpecError if there is no run."""
    with Reader(directory.checkpoint) as reader:
        return _waiting(reader), reader.meta("target") or ""


def tell(job: Job, directory: RunDir, keys: Sequence[str], word: Word, at: float) -> tuple[int, str]:
    """Record `word` on the plans of the rows with these keys, of all without keys, and make the rows pending again.

    Returns how many they are, and the run's target. Raises SpecError for a row that does not wait, LockedError while
    the run goes on.
    """
    with stopping_at_once(), open_existing(job, directory) as opened:
        waiting = {plan.key: plan for plan in _waiting(opened.reader)}
        for key in keys:
            if key not in waiting:
                raise SpecError(_not_waiting(opened.reader, key))
        chosen = [waiting[key] for key in dict.fromkeys(keys)] or list(waiting.values())
        told = reopening.answer_plans(opened.store, [(plan.attempt_id, word.go, word.text) for plan in chosen], at)
        return told, opened.reader.meta("target") or ""


def _waiting(reader: Reader) -> list[Plan]:
    return [
        Plan(row.key, row.attempt.id, _text(row.attempt.answer()))
        for row in reader.waiting()
        if row.attempt is not None
    ]


def _text(answer: Interaction | None) -> str:
    return (answer.output_text if answer else None) or ""


def _not_waiting(reader: Reader, key: str) -> str:
    known = reader.standing(key)
    if known is None:
        return f"no row has the key {key!r}; nothing was recorded."
    return f"row {key!r} has no plan that waits for approval: it is {known[0] or 'pending'}; nothing was recorded."
