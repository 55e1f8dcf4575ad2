"""A row's conversation: what its answered interactions say together. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from batchrun.interactions.models import Interaction, storable
from batchrun.interactions.turns import answers_of, last_answer
from batchrun.outputs.media import Medium, media_of
from batchrun.store.records import AttemptRecord, RowRecord

Answer = tuple[AttemptRecord, Interaction]


#: What is told of a file as it was noted with the request.
_OF_A_FILE = ("file", "block", "type", "mime_type", "bytes", "sha256", "sent")


@dataclass(frozen=True, slots=True)
class History:
    """The answered attempts of a row in order, each with its interaction.

    `final` is the last answer, with what it continues; None if the last attempt has none that can be read.
    """

    answered: Sequence[Answer]
    final: Interaction | None

    @classmethod
    def of(cls, row: RowRecord) -> History:
        last = _answer(row.standing) if row.standing else None
        if not row.earlier:  # most rows, and the shortest way
            return cls((last,), last[1]) if last else _NOTHING
        answered = [found for attempt in row.earlier if (found := _answer(attempt))]
        if last is None:
            return cls(answered, None)
        answered.append(last)
        return cls(answered, last_answer([interaction for _, interaction in answered]))

    @property
    def text(self) -> str | None:
        return self.final.output_text if self.final else None

    @property
    def thoughts(self) -> str | None:
        """The summaries of the thoughts behind the last answer, a blank line between them."""
        steps = self.final.own_steps if self.final else []
        texts = [text for _, step in steps if step.get("type") == "thought" for text in _texts(step.get("summary"))]
        return "\n\n".join(texts) or None

    @property
    def answers(self) -> list[str | None] | None:
        """The text of each turn's answer; None where an exchange before it is missing."""
        numbers = [attempt.exchange for attempt, _ in self.answered]
        if not numbers or numbers != list(range(len(numbers))):
            return None
        found = answers_of([(attempt.turn, interaction) for attempt, interaction in self.answered])
        return [None if text is None else storable(text) for text in found]

    @property
    def environment_id(self) -> str | None:
        """The sandbox of an agent, as the last interaction that has one names it."""
        named = (interaction.environment_id for _, interaction in reversed(self.answered))
        return next(filter(None, named), None)

    @property
    def files(self) -> list[dict[str, Any]] | None:
        """What file, and which of its pages, went into which block of which exchange's request."""
        found = [
            {
                **{name: entry.get(name) for name in _OF_A_FILE},
                "exchange": attempt.exchange,
                "turn": attempt.turn,
                "first_page": (entry.get("pages") or (None, None))[0],
                "last_page": (entry.get("pages") or (None, None))[1],
                "pages": entry.get("of"),
            }
            for attempt, _ in self.answered
            for entry in attempt.files
        ]
        return found or None

    @property
    def media(self) -> tuple[tuple[AttemptRecord, Medium], ...]:
        """The files that came with the answers, each after its attempt."""
        found: tuple[tuple[AttemptRecord, Medium], ...] = ()
        for attempt, interaction in self.answered:
            if b'"sha256"' in (attempt.raw or b""):
                found += tuple((attempt, medium) for medium in media_of(interaction))
        return found


_NOTHING = History((), None)


def _answer(attempt: AttemptRecord) -> Answer | None:
    interaction = attempt.answer()
    return None if interaction is None else (attempt, interaction)


def _texts(blocks: object) -> Iterator[str]:
    for block in blocks if isinstance(blocks, list) else ():
        if isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str):
            yield block["text"]
