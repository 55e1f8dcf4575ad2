"""Runs that each released version left go on in this one, and nothing in them is paid for again."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from batchrun.aftercare.recovery import recover
from batchrun.aftercare.verification import verify
from batchrun.emulator import EmulatorSettings, parse_latency
from batchrun.errors import Exit
from batchrun.runs.directory import RunDir
from batchrun.runs.options import Options
from batchrun.runs.run import Result, run
from batchrun.spec.load import load_job
from batchrun.store.reader import Reader
from batchrun.store.store import Store
from tests.store.golden import FOLDER, restore
from tests.virtual_time import VirtualTime

released = pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))


def resume(where: Path, directory: Path) -> Result:
    clock = VirtualTime()
    emulator = EmulatorSettings(latency=parse_latency("20s"), clock=clock.wall)
    options = Options(directory, emulator=emulator, seed=1, looks=None)
    return run(load_job(where / "job.json"), options, clock.wall, run_async=clock.run)


def answers(directory: Path) -> dict[str, bytes | None]:
    with Reader(directory / "run.db") as reader:
        return {attempt.intent_key: attempt.raw for attempt in reader.attempts(raw=True)}


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as db:
        return {re.sub(r"\s+", " ", sql) for (sql,) in db.execute("SELECT sql FROM sqlite_schema WHERE sql NOT NULL")}


@released
def test_a_run_of_an_earlier_version_is_resumed_and_its_answers_stay(tmp_path: Path, name: str) -> None:
    directory = restore(name, tmp_path)
    Store(directory / "run.db").close()
    before = answers(directory)
    assert sum(raw is not None for raw in before.values()) == 2
    result = resume(tmp_path, directory)
    assert (result.exit_code, result.summary.posts_this_run) == (Exit.ROWS_HELD, 2)
    assert (result.summary.succeeded, result.summary.ambiguous) == (4, 1)
    assert {key: raw for key, raw in answers(directory).items() if before.get(key)} == {
        key: raw for key, raw in before.items() if raw
    }
    assert verify(RunDir(directory)).differences == ()


@released
def test_a_checkpoint_of_an_earlier_version_gets_the_tables_of_a_new_one(tmp_path: Path, name: str) -> None:
    directory = restore(name, tmp_path)
    Store(directory / "run.db").close()
    Store(tmp_path / "new.db").close()
    assert tables(directory / "run.db") == tables(tmp_path / "new.db")


@released
def test_the_ledger_of_an_earlier_version_can_be_recovered_from(tmp_path: Path, name: str) -> None:
    directory = restore(name, tmp_path)
    (directory / "run.db").unlink()
    found = recover(load_job(tmp_path / "job.json"), RunDir(directory), 1.0)
    assert (found.rows, found.submitted, found.doubtful, found.edited, found.gone) == (5, 2, 1, [], [])
