"""The tables of a schedule's record, as migrations. A released migration is never edited; add the next one below it."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

migrations = Migrations("batchrun.schedule")


@migrations()
def m001_initial(db: Database) -> None:
    """Meta values, slots, and the contents that slots have taken.

    Times are Unix seconds. A slot without `over_at` has more to be done; `took_at` is when it took its files, also if
    there were none. In `taken` a content belongs to one slot for ever; `file` is the path as the job finds it, `bytes`
    and `ctime_ns` are the file's when it was read. `told` names slots that were not run, and people were told so.
    """
    for statement in (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
        """CREATE TABLE slot (
            name TEXT PRIMARY KEY, state TEXT NOT NULL, why TEXT NOT NULL, decided_at REAL NOT NULL,
            begun_at REAL, over_at REAL, took_at REAL) WITHOUT ROWID""",
        "CREATE INDEX slot_open ON slot (name) WHERE over_at IS NULL",
        "CREATE TABLE told (name TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID",
        "CREATE TABLE output (directory TEXT PRIMARY KEY, slot TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE taken (
            sha256 TEXT PRIMARY KEY, slot TEXT NOT NULL, file TEXT NOT NULL, bytes INTEGER NOT NULL,
            ctime_ns INTEGER NOT NULL) WITHOUT ROWID""",
        "CREATE INDEX taken_slot ON taken (slot, file)",
        "CREATE INDEX taken_file ON taken (file)",
    ):
        db.execute(statement)
