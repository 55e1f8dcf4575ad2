"""The checkpoint's own laws, recomputed from its tables, whatever they hold. Reads; nothing here raises for bad data.

Each law is a query that finds what breaks it. The database forbids some of that by itself; an index can be damaged.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from batchrun.interactions.evidence import INTENT_LABEL
from batchrun.interactions.models import Interaction
from batchrun.rows import Outcome
from batchrun.store.migrations import LIVE, live
from batchrun.store.records import AttemptState


@dataclass(frozen=True, slots=True)
class Difference:
    """What breaks a law; `where` is a row's key, an attempt or a file."""

    law: str
    where: str
    said: str


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer on record. `attempt` names its attempt for people."""

    attempt: str
    answer: Interaction


_ANSWERED = "('succeeded', 'invalid_output', 'incomplete', 'awaiting_approval')"
_NAMED = "'row ' || quote(row.key) || ', attempt ' || attempt.number"
_OF_ROW = "attempt JOIN row ON row.id = attempt.row_id"
#: An attempt that only the ledger knew: what it followed may have to be fetched again, too.
_RECOVERED = "epoch = 0"


def _listed(values: type[Outcome] | type[AttemptState]) -> str:
    return ", ".join(f"'{value}'" for value in values)


#: For each law: what is said of a breach, and the query that gives where it is and perhaps a value.
_LAWS: tuple[tuple[str, str, str], ...] = (
    (
        "rows",
        "has an outcome that is none: {}",
        f"SELECT 'row ' || quote(key), outcome FROM row WHERE outcome NOT IN ({_listed(Outcome)})",
    ),
    (
        "rows",
        "has an end without an outcome, or an outcome without an end",
        "SELECT 'row ' || quote(key), '' FROM row WHERE (outcome IS NULL) != (finished_at IS NULL)",
    ),
    (
        "intents",
        "has a state that is none: {}",
        f"SELECT {_NAMED}, state FROM {_OF_ROW} WHERE state NOT IN ({_listed(AttemptState)})",
    ),
    (
        "intents",
        "belongs to no row",
        """SELECT 'attempt ' || id, '' FROM attempt WHERE row_id NOT IN (SELECT id FROM row)""",
    ),
    (
        "intents",
        "has no POST that was meant to be made, or one that a later life of the run made",
        f"""SELECT {_NAMED}, '' FROM {_OF_ROW} WHERE posts < 1 OR intent_at IS NULL OR request_sha = ''
            OR epoch > (SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'epoch')""",
    ),
    (
        "one live attempt",
        "has {} live attempts at one exchange",
        f"""SELECT 'row ' || quote(row.key), count(*) FROM {_OF_ROW} WHERE {LIVE}
            GROUP BY row_id, exchange HAVING count(*) > 1""",
    ),
    (
        "one live attempt",
        "follows an exchange that has no answer",
        f"""SELECT 'row ' || quote(row.key) || ', attempt ' || a.number, '' FROM attempt a JOIN row ON row.id = a.row_id
            WHERE {live("a")} AND a.exchange > 0 AND NOT EXISTS (SELECT 1 FROM attempt b WHERE b.row_id = a.row_id
            AND b.exchange = a.exchange - 1 AND (b.state = 'fetched' OR a.{_RECOVERED})
            AND {live("b")})""",
    ),
    (
        "ids",
        "was accepted and has no interaction id",
        f"""SELECT {_NAMED}, '' FROM {_OF_ROW} WHERE (state IN ('submitted', 'lost', 'timed_out')
            AND coalesce(interaction_id, '') = '') OR (state = 'fetched' AND interaction_id IS NULL)""",
    ),
    (
        "ids",
        "has an interaction id though it was never accepted",
        f"""SELECT {_NAMED}, '' FROM {_OF_ROW}
            WHERE state IN ('intent', 'not_sent', 'refused', 'ambiguous') AND interaction_id NOT NULL""",
    ),
    (
        "ids",
        "shares the interaction {} with another",
        f"""SELECT {_NAMED}, interaction_id FROM {_OF_ROW} WHERE interaction_id > '' AND interaction_id IN
            (SELECT interaction_id FROM attempt GROUP BY 1 HAVING count(*) > 1)""",
    ),
    (
        "answers",
        "has no answer on record though it was fetched, or one though it was not",
        f"SELECT {_NAMED}, '' FROM {_OF_ROW} WHERE (state = 'fetched') != (raw NOT NULL) AND state != 'ambiguous'",
    ),
    (
        "answers",
        "is {} without an answer on record",
        f"""SELECT 'row ' || quote(key), outcome FROM row WHERE outcome IN {_ANSWERED} AND NOT EXISTS
            (SELECT 1 FROM attempt WHERE row_id = row.id AND raw NOT NULL AND {LIVE} AND state = 'fetched')
            AND NOT (stage > '' AND output NOT NULL AND NOT EXISTS (SELECT 1 FROM attempt WHERE row_id = row.id))""",
    ),
    (
        "stages",
        "has succeeded without an output",
        "SELECT 'row ' || quote(key), '' FROM row WHERE stage > '' AND outcome = 'succeeded' AND output IS NULL",
    ),
    (
        "answers",
        "is {} though a POST of its is in doubt or under way",
        f"""SELECT 'row ' || quote(key), outcome FROM row WHERE outcome = 'succeeded' AND EXISTS
            (SELECT 1 FROM attempt WHERE row_id = row.id AND {LIVE} AND state != 'fetched')""",
    ),
)


def broken_laws(db: sqlite3.Connection) -> Iterator[Difference]:
    """What the tables say against each other."""
    for (said,) in db.execute("PRAGMA integrity_check"):
        if said != "ok":
            yield Difference("database", "run.db", said)
    for law, said, query in _LAWS:
        for where, value in db.execute(query):
            yield Difference(law, where, said.format(value))


def stored_rows(db: sqlite3.Connection) -> Iterator[tuple[str, str, str | None]]:
    """Key, hash and input (JSON) of every row that could be read."""
    yield from db.execute("SELECT key, input_sha, data FROM row WHERE data NOT NULL AND NOT rejected ORDER BY id")


def stored_intents(db: sqlite3.Connection) -> Iterator[tuple[str, str, str, int, int]]:
    """Of every attempt its name for people, label, row's key, exchange and number."""
    yield from db.execute(
        f"SELECT {_NAMED}, intent_key, row.key, exchange, attempt.number FROM {_OF_ROW} ORDER BY attempt.id"
    )


def stored_ids(db: sqlite3.Connection) -> Iterator[tuple[str, int, str, str, str | None]]:
    """Of every attempt its name for people, id, row's key, state and interaction id."""
    query = f"SELECT {_NAMED}, attempt.id, row.key, state, interaction_id FROM {_OF_ROW} ORDER BY attempt.id"
    yield from db.execute(query)


def stored_answers(db: sqlite3.Connection) -> Iterator[StoredAnswer | Difference]:
    """Every answer on record that can be read. What is damaged, or told otherwise in the columns, is a difference."""
    columns = "intent_key, interaction_id, interaction_status, usage, raw"
    for name, label, interaction_id, status, usage, raw in db.execute(
        f"SELECT {_NAMED}, {columns} FROM {_OF_ROW} WHERE raw NOT NULL AND state != 'ambiguous' ORDER BY attempt.id"
    ):
        try:
            answer = Interaction.parse(zlib.decompress(raw))
        except (zlib.error, TypeError) as error:
            yield Difference("answers", name, f"its answer on record is damaged: {error}")
            continue
        if answer is None or not _is_of(answer, interaction_id, label):
            answer = Interaction({})  # kept because it came, and not taken for this interaction's
        if answer.status != status:
            yield Difference("answers", name, f"has the status {status}, and its answer says {answer.status}")
        if answer.usage != _parsed(usage):
            yield Difference("usage", name, f"has the usage {usage}, and its answer says {json.dumps(answer.usage)}")
        yield StoredAnswer(name, answer)


def _is_of(answer: Interaction, interaction_id: str | None, label: str) -> bool:
    """Whether an answer is an interaction's own: by its POST's label where the service shows one, else by its id."""
    shown = answer.label(INTENT_LABEL)
    return answer.id in (None, interaction_id) if shown is None else shown == label


def _parsed(usage: object) -> Any:
    """The usage on record; what cannot be one as it stands, which is like none."""
    try:
        return None if usage is None else json.loads(str(usage))
    except ValueError:
        return usage
