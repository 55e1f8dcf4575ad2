"""A batchrun of a later version than this one: it has a migration more."""

from __future__ import annotations

from sqlite_utils import Database

from batchrun.store.migrations import migrations

LATER = "m900_later"


def become_later() -> None:
    """From now on this process is of that version."""
    migrations(name=LATER)(_later)


def become_today() -> None:
    """This process is of its own version again."""
    migrations._migrations[:] = [each for each in migrations._migrations if each.name != LATER]


def _later(db: Database) -> None:
    for statement in (
        "ALTER TABLE row ADD COLUMN later TEXT",
        "UPDATE row SET later = key",
        "CREATE TABLE later (id INTEGER PRIMARY KEY)",
    ):
        db.execute(statement)
