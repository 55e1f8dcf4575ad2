"""The tables of a run's checkpoint, as migrations. A released migration is never edited; add the next one below it."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

#: Marks a SQLite file as one of ours ("brun").
APPLICATION_ID = 0x6272756E

migrations = Migrations("batchrun")

#: A row has at most one live attempt an exchange: SQLite itself refuses a second POST.
LIVE = "superseded_at IS NULL AND state NOT IN ('not_sent', 'refused')"


def live(table: str) -> str:
    """LIVE, of a table that a query gives another name."""
    return f"{table}.superseded_at IS NULL AND {table}.state NOT IN ('not_sent', 'refused')"


#: Attempts whose end is not known. SQLite uses their index only for a query that says this in the same words.
OPEN = "state IN ('intent', 'submitted', 'ambiguous')"

#: Makes rows pending. What follows says when, or which.
PENDING = "UPDATE row SET outcome = NULL, error_class = NULL, error_message = NULL, finished_at = NULL"


@migrations()
def m001_initial(db: Database) -> None:
    """Meta values, input rows and the attempts made for them.

    `exchange` is the number of the interaction in its row's conversation, `turn` that of the user's turn it belongs to.
    In a job of stages a row is of a `stage`, with whose name its key begins, and has an `output` for what follows it.
    Times are Unix seconds; `raw` is zlib; `files` lists the files in the request; a `rejected` row failed when it was
    read and is never sent. `tool_call` holds the functions run for an answer that asks for them, `word` what the user
    said to a research plan. `purged_at` is when the service was seen to have
    an attempt's interaction no more, because we deleted it. `tokens` is what a request was estimated to read, `charge`
    what counts against the job's limit in money, in billionths of a dollar: what the interaction may cost at most,
    until its usage is known.
    """
    for statement in (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
        "INSERT INTO meta VALUES ('epoch', '0')",
        """CREATE TABLE row (
            id INTEGER PRIMARY KEY, position INTEGER NOT NULL, key TEXT NOT NULL UNIQUE, source TEXT NOT NULL,
            input_sha TEXT NOT NULL, data TEXT, rejected INTEGER NOT NULL, outcome TEXT, error_class TEXT,
            error_message TEXT, finished_at REAL, reopened_at REAL, seen INTEGER NOT NULL,
            stage TEXT NOT NULL DEFAULT '', output TEXT)""",
        "CREATE INDEX row_position ON row (position)",
        "CREATE INDEX row_pending ON row (position) WHERE outcome IS NULL",
        """CREATE TABLE attempt (
            id INTEGER PRIMARY KEY, row_id INTEGER NOT NULL REFERENCES row (id), number INTEGER NOT NULL,
            exchange INTEGER NOT NULL DEFAULT 0, turn INTEGER NOT NULL DEFAULT 0, epoch INTEGER NOT NULL,
            state TEXT NOT NULL,
            intent_key TEXT NOT NULL UNIQUE, request_sha TEXT NOT NULL, evidence TEXT,
            model TEXT, agent INTEGER NOT NULL DEFAULT 0, interaction_id TEXT, interaction_status TEXT,
            service_tier TEXT, posts INTEGER NOT NULL DEFAULT 0, polls INTEGER NOT NULL DEFAULT 0,
            http_status INTEGER, error_class TEXT, error_message TEXT,
            intent_at REAL NOT NULL, submitted_at REAL, fetched_at REAL, superseded_at REAL, superseded_by TEXT,
            purged_at REAL, tokens INTEGER, charge INTEGER, usage TEXT, files TEXT, raw BLOB)""",
        f"CREATE UNIQUE INDEX one_live_attempt ON attempt (row_id, exchange) WHERE {LIVE}",
        "CREATE INDEX attempt_row ON attempt (row_id, number)",
        f"CREATE INDEX attempt_open ON attempt (state) WHERE {OPEN}",
        """CREATE TABLE tool_call (
            attempt_id INTEGER NOT NULL REFERENCES attempt (id), position INTEGER NOT NULL, call_id TEXT NOT NULL,
            name TEXT NOT NULL, arguments TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 1, began_at REAL NOT NULL,
            released INTEGER NOT NULL DEFAULT 0, ended_at REAL, result TEXT, is_error INTEGER,
            PRIMARY KEY (attempt_id, position)) WITHOUT ROWID""",
        """CREATE TABLE word (
            attempt_id INTEGER PRIMARY KEY REFERENCES attempt (id), go INTEGER NOT NULL, text TEXT NOT NULL,
            said_at REAL NOT NULL)""",
    ):
        db.execute(statement)
