"""Rows that have ended, pending again as the user wishes. What was paid for stays on record."""

from __future__ import annotations

from collections.abc import Iterable

from batchrun.store.migrations import LIVE, PENDING, live
from batchrun.store.store import Store

_PENDING_AT = f"{PENDING}, reopened_at = ?"
_SUBMITTED_AGAIN = """UPDATE attempt SET state = 'submitted', raw = NULL, fetched_at = NULL, evidence = NULL,
                      error_class = NULL, error_message = NULL"""
#: No answer came, or what came was none: it is kept as `fetched` without a status.
_GIVEN_UP = """(state IN ('lost', 'timed_out') OR (state = 'fetched' AND interaction_status IS NULL AND
                (SELECT error_class IN ('no_answer', 'label_mismatch') FROM row WHERE row.id = attempt.row_id)))"""

#: Not a good answer in the midst of a conversation whose row ended for another reason: a refusal of the next POST,
#: a template that did not render, rounds of calls used up, a function that was interrupted, media not fetched. Not so
#: a plan that was purged: nothing can follow it.
_ENDED_ITS_ROW = f"""(exchange = (SELECT max(exchange) FROM attempt later WHERE later.row_id = attempt.row_id
                      AND {live("later")})
                  AND NOT (state = 'fetched' AND
                      (SELECT error_class = 'media_not_fetched' OR
                              (outcome IN ('failed', 'ambiguous') AND error_class NOT IN ('requires_action', 'purged')
                               AND coalesce(interaction_status, '')
                                   IN ('completed', 'requires_action', 'requires_continuation'))
                       FROM row WHERE row.id = attempt.row_id)))"""


def answer_plans(store: Store, words: Iterable[tuple[int, bool, str]], at: float) -> int:
    """The user's words on research plans, by attempt: go ahead or not, and a text. Their rows are pending again."""
    told = 0
    with store.db.atomic():
        for attempt_id, go, text in words:
            store.connection.execute("INSERT INTO word VALUES (?, ?, ?, ?)", (attempt_id, go, text, at))
            told += store.connection.execute(
                f"{_PENDING_AT} WHERE outcome = 'awaiting_approval' AND id = "
                "(SELECT row_id FROM attempt WHERE attempt.id = ?)",
                (at, attempt_id),
            ).rowcount
    return told


def poll_again(store: Store, outcomes: list[str], keys: list[str], at: float) -> int:
    """Make ended rows pending again that were given up although there is an id: it is polled, for free.

    Returns how many; the others of these rows stay as they are.
    """
    chosen, values = _chosen(outcomes, keys)
    given_up = f"superseded_at IS NULL AND purged_at IS NULL AND interaction_id > '' AND row_id IN ({chosen})"
    with store.db.atomic():
        store.connection.execute(f"{_SUBMITTED_AGAIN} WHERE {given_up} AND {_GIVEN_UP}", values)
        return store.connection.execute(
            f"""{_PENDING_AT} WHERE id IN (SELECT row_id FROM attempt WHERE state = 'submitted' AND {given_up})""",
            [at, *values],
        ).rowcount


def reopen(store: Store, outcomes: list[str], keys: list[str], at: float, *, from_start: bool = False) -> int:
    """Make ended rows pending again, but for rejected ones; the attempt that ended each is superseded.

    Exchanges that were answered well before it are paid for and stay, unless `from_start`.
    """
    chosen, values = _chosen(outcomes, keys)
    with store.db.atomic():
        store.connection.execute(
            f"""UPDATE attempt SET superseded_at = ?, superseded_by = 'user'
                WHERE {LIVE} AND row_id IN ({chosen}) AND (? OR {_ENDED_ITS_ROW})""",
            [at, *values, from_start],
        )
        store.connection.execute(
            f"""UPDATE tool_call SET released = 1 WHERE ended_at IS NULL AND attempt_id IN
                (SELECT id FROM attempt WHERE row_id IN ({chosen}))""",
            values,
        )
        return store.connection.execute(f"{_PENDING_AT} WHERE id IN ({chosen})", [at, *values]).rowcount


def _chosen(outcomes: list[str], keys: list[str]) -> tuple[str, list[object]]:
    """A query for the rows with these outcomes and keys (all, without keys), and its values."""
    query = f"""SELECT id FROM row WHERE NOT rejected AND outcome IN ({_marks(outcomes)})
                AND (? OR key IN ({_marks(keys)}))"""
    return query, [*outcomes, not keys, *keys]


def _marks(values: list[str]) -> str:
    return ", ".join("?" * len(values))
