"""Checkpoints as each released version left them, as text: `python -m tests.store.golden` writes today's.

That is done before the first release, and once for each release that has a new migration; what has been released is
never written again. Until the first release, remove the folder and write it anew when the tables change. Each folder is
named by the last migration that its checkpoint has seen.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from batchrun.store.migrations import migrations
from tests.engine.test_resume import death
from tests.rehearsal import Rehearsal

FOLDER = Path(__file__).with_name("golden")
_KEPT = ("job.json", "rows.jsonl")


def restore(name: str, where: Path) -> Path:
    """Put a released version's run into `where`. Returns its run directory, `where`/run."""
    directory = where / "run"
    directory.mkdir(parents=True)
    for kept in _KEPT:
        shutil.copy(FOLDER / name / kept, where)
    shutil.copy(FOLDER / name / "run.ledger", directory)
    with closing(sqlite3.connect(directory / "run.db")) as db:
        db.executescript((FOLDER / name / "run.sql").read_text())
        db.execute("PRAGMA journal_mode = WAL")
    return directory


def write(where: Path) -> None:
    """A run with two rows done, one whose POST nobody knows the fate of, and two that were not sent."""
    with tempfile.TemporaryDirectory() as scratch:
        job = Rehearsal(Path(scratch), rows=5, limits={"posts": 1}, retry={"ambiguous": {"model": "hold"}})
        job.run(limit=2)
        with death(1, before=False):
            job.run()
        where.mkdir()
        for kept in _KEPT:
            shutil.copy(job.where / kept, where)
        shutil.copy(job.directory / "run.ledger", where)
        with closing(sqlite3.connect(job.directory / "run.db")) as db:
            mark = f"PRAGMA application_id = {db.execute('PRAGMA application_id').fetchone()[0]};"
            (where / "run.sql").write_text("\n".join([mark, *db.iterdump(), ""]))


if __name__ == "__main__":
    write(FOLDER / migrations._migrations[-1].name)
