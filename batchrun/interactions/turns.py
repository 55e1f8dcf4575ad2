"""A row's conversation, read as turns: which of its interactions together are one answer. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from batchrun.interactions.models import Interaction, merged

#: The answer is cut off, and goes on in the next interaction.
_CONTINUES = "requires_continuation"
#: The user's turn is not answered yet: the next interaction belongs to it.
_UNDER_WAY = ("requires_action", _CONTINUES)


def last_answer(history: Sequence[Interaction]) -> Interaction:
    """The last interaction of a conversation, with those that it continues."""
    first = len(history) - 1
    while first > 0 and history[first - 1].status == _CONTINUES:
        first -= 1
    return merged(history[first:])


def answers_of(history: Sequence[Interaction]) -> list[str | None]:
    """The text of each of the user's turns that is answered, in order; None where an answer has no text.

    Rounds of function calls and continuations belong to the turn whose end follows.
    """
    ends = [number for number, each in enumerate(history, 1) if each.status not in _UNDER_WAY]
    starts = [0, *ends[:-1]]
    return [last_answer(history[start:end]).output_text for start, end in zip(starts, ends, strict=False)]
