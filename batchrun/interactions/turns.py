"""A row's conversation, read as turns: which of its interactions together are one answer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from batchrun.interactions.models import Interaction, merged

#: The answer is cut off, and goes on in the next interaction.
_CONTINUES = "requires_continuation"
#: The user's turn is not answered yet.
_UNDER_WAY = ("requires_action", _CONTINUES)


def last_answer(history: Sequence[Interaction]) -> Interaction:
    """The last interaction of a conversation, with those that it continues."""
    first = len(history) - 1
    while first > 0 and history[first - 1].status == _CONTINUES:
        first -= 1
    return merged(history[first:])


def answers_of(history: Sequence[tuple[int, Interaction]]) -> list[str | None]:
    """The text of each of the user's turns that is answered, in order; None where an answer has no text.

    Each interaction comes after the number of its turn. Rounds of function calls, continuations and research plans
    belong to the turn whose end follows.
    """
    numbers, found = [turn for turn, _ in history], [interaction for _, interaction in history]
    ends = [at for at, (turn, following) in enumerate(pairwise(numbers), 1) if turn != following]
    if found and found[-1].status not in _UNDER_WAY:
        ends.append(len(found))
    return [last_answer(found[:end]).output_text for end in ends]
