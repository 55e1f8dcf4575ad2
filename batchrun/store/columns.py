"""What the rows of a run have in their columns: those of the input, and the properties of a stage's outputs."""

from __future__ import annotations

import sqlite3

from batchrun.store.reader import PRESENT


def has_column(db: sqlite3.Connection, column: str) -> bool:
    """True if a row has this input column. The rows of a batch have one of their own, of which this is not told."""
    query = """SELECT EXISTS (SELECT 1 FROM row r, json_each(r.data) e WHERE r.data NOT NULL AND e.key = ?
               AND (r.stage = '' OR json_type(r.data, '$.rows.sha') IS NULL))"""
    return bool(db.execute(query, (column,)).fetchone()[0])


def lacks_column(db: sqlite3.Connection, stage: str, column: str) -> bool:
    """True if a stage has rows that can be carried, and none of them has this column."""
    query = f"""SELECT count(*) > 0 AND total(EXISTS (SELECT 1 FROM json_each(r.data) e WHERE e.key = ?)) = 0
                FROM row r WHERE r.{PRESENT} AND r.stage = ? AND NOT r.rejected AND r.data NOT NULL"""
    return bool(db.execute(query, (column, stage)).fetchone()[0])


def input_types(db: sqlite3.Connection, column: str) -> set[str]:
    """The JSON types found in an input column, in SQLite's words."""
    query = "SELECT DISTINCT e.type FROM row r, json_each(r.data) e WHERE r.data IS NOT NULL AND e.key = ?"
    return {kind for (kind,) in db.execute(query, (column,))}


def output_types(db: sqlite3.Connection, stage: str) -> dict[str, set[str]] | None:
    """The JSON types of each property in the outputs of a stage; None if some are no objects."""
    others = "SELECT EXISTS (SELECT 1 FROM row WHERE stage = ? AND output NOT NULL AND json_type(output) != 'object')"
    if db.execute(others, (stage,)).fetchone()[0]:
        return None
    query = "SELECT DISTINCT e.key, e.type FROM row r, json_each(r.output) e WHERE r.stage = ? AND r.output NOT NULL"
    found: dict[str, set[str]] = {}
    for name, kind in db.execute(query, (stage,)):
        found.setdefault(name, set()).add(kind)
    return found
