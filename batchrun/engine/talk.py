"""What one row's coroutine holds while it runs: the exchanges so far and the attempt under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from batchrun.engine.attempt import Attempt, resumption, under_way
from batchrun.engine.conversation import Exchange, Word
from batchrun.interactions.models import Interaction
from batchrun.interactions.turns import last_answer
from batchrun.store.reader import Reader
from batchrun.store.records import AttemptRecord, AttemptState, RowRecord


@dataclass(slots=True)
class Talk:
    """A row's conversation. `number` counts its attempts, `strikes` answers that were thrown away, `doubts` POSTs of
    unknown fate. `purged` are the attempts whose interactions were deleted at the service: nothing can follow them.

    `asked` are attempts that follow the one under way: only a recovered checkpoint knows them without their answers.
    """

    number: int
    strikes: int
    exchanges: list[Exchange] = field(default_factory=list)
    attempt: Attempt | None = None
    doubts: int = 0
    purged: set[int] = field(default_factory=set)
    asked: list[Attempt] = field(default_factory=list)

    @property
    def at_purged(self) -> bool:
        """True if what the conversation would go on from was deleted at the service."""
        return bool(self.exchanges) and self.exchanges[-1].attempt_id in self.purged

    @property
    def last(self) -> Interaction:
        """The last answer, with what it continues."""
        return last_answer([exchange.answer for exchange in self.exchanges])

    def begin_anew(self) -> None:
        """Forget all that was said."""
        self.exchanges.clear()

    def answered(self, answer: Interaction, word: Word | None) -> None:
        """The attempt under way has its answer."""
        assert self.attempt is not None
        self.exchanges.append(Exchange(self.attempt.id, answer, word=word))
        self.attempt = None

    def carried_out(self, results: Sequence[dict[str, Any]]) -> None:
        """The functions that the last answer called have run."""
        self.exchanges[-1] = replace(self.exchanges[-1], results=tuple(results))

    def thrown_away(self) -> int:
        """Forget the last attempt, answered or of unknown fate, and return its id."""
        if self.attempt is not None:
            attempt_id, self.attempt = self.attempt.id, None
            return attempt_id
        self.strikes += 1
        return self.exchanges.pop().attempt_id


def resumed(row: RowRecord, reader: Reader) -> Talk:
    """A row's conversation as the store knows it."""
    talk = Talk(row.attempts, row.strikes, attempt=under_way(row))
    if row.attempt is not None and row.attempt.exchange > 0:
        earlier = list(reader.earlier(row.id, row.attempt.exchange))
        if len(earlier) < row.attempt.exchange:
            return _recovered(talk, row, reader)
        talk.exchanges = [exchange_of(attempt, reader) for attempt in earlier]
        talk.purged = {attempt.id for attempt in earlier if attempt.purged_at is not None}
    if row.attempt is not None and row.attempt.purged_at is not None:
        talk.purged.add(row.attempt.id)
    return talk


def so_far(row: RowRecord, reader: Reader) -> Talk:
    """A row's conversation with its last answer, if that is here, as one of its exchanges."""
    talk = resumed(row, reader)
    if talk.attempt is not None and talk.attempt.answer is not None:
        talk.answered(talk.attempt.answer, word_on(talk.attempt.id, reader))
    return talk


def _recovered(talk: Talk, row: RowRecord, reader: Reader) -> Talk:
    """A conversation of which some answers have to be fetched again, in their order."""
    attempts = list(reader.live(row.id))
    answered = list(takewhile(lambda attempt: attempt.state is AttemptState.FETCHED, attempts))
    talk.exchanges = [exchange_of(attempt, reader) for attempt in answered]
    first, *later = (resumption(attempt) for attempt in attempts[len(answered) :])
    talk.attempt, talk.asked = first, later
    return talk


def exchange_of(attempt: AttemptRecord, reader: Reader) -> Exchange:
    """An answered attempt as the exchange that it is of its row's conversation."""
    answer = attempt.answer() or Interaction({})
    results = None
    if answer.status == "requires_action":
        results = tuple(call.step for call in reader.tool_calls(attempt.id))
    return Exchange(attempt.id, answer, results, word_on(attempt.id, reader))


def word_on(attempt_id: int, reader: Reader) -> Word | None:
    """The user's word on the plan in an attempt's answer."""
    word = reader.word(attempt_id)
    return None if word is None else Word(*word)
