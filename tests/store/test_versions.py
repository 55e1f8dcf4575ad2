"""Checkpoints of other versions, and checkpoints over which a process was killed. Real SQLite files."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from batchrun.errors import Exit, StoreError
from batchrun.runs.directory import RunDir
from batchrun.runs.opening import open_existing
from batchrun.spec.load import load_job
from batchrun.store.reader import Reader
from batchrun.store.store import Store
from tests.engine.test_resume import death
from tests.rehearsal import Rehearsal
from tests.reliability.upgrades import LATER, become_later, become_today

#: What a process keeps open until it is killed.
_left = list[object]()


@pytest.fixture
def later() -> Iterator[None]:
    """Called for within a test by `become_later`; afterwards this process is of its own version again."""
    yield
    become_today()


def half_done(where: Path, rows: int = 6) -> Rehearsal:
    """A run that was killed with rows done, in flight and pending."""
    job = Rehearsal(where, rows=rows, limits={"posts": 1})
    job.run(limit=2)
    with death(4, before=False):
        job.run()
    return job


def content(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [line for line in db.iterdump() if "_sqlite_migrations" not in line]


def files(job: Rehearsal) -> dict[str, bytes]:
    """The checkpoint's files, but for the index of its log, which is made anew by every process."""
    return {path.name: path.read_bytes() for path in job.directory.glob("run.db*") if not path.name.endswith("-shm")}


@pytest.mark.usefixtures("later")
def test_an_older_checkpoint_is_kept_as_a_copy_and_goes_on_without_paying_for_anything_again(tmp_path: Path) -> None:
    job = half_done(tmp_path)
    before, sent = content(job.directory / "run.db"), len(job.accepted())
    assert 2 < sent < 6
    become_later()
    result = job.run()
    assert (result.exit_code, len(job.accepted())) == (Exit.OK, 6)
    assert result.summary.posts_this_run == 6 - sent
    copy = job.directory / f"run.db.before-{LATER}"
    assert content(copy) == before
    assert copy.stat().st_mode & 0o777 == 0o600
    with Reader(job.directory / "run.db") as reader:
        assert [at for (at,) in reader.connection.execute("SELECT later FROM row")] == [f"r{n}" for n in range(6)]


@pytest.mark.usefixtures("later")
def test_a_copy_never_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    job = half_done(tmp_path)
    earlier = job.directory / f"run.db.before-{LATER}"
    earlier.write_bytes(b"an earlier copy")
    (job.directory / f"run.db.before-{LATER}.part").write_bytes(b"what a killed process left")
    become_later()
    job.run()
    assert earlier.read_bytes() == b"an earlier copy"
    assert content(job.directory / f"run.db.before-{LATER}-2")
    assert not list(job.directory.glob("*.part"))


@pytest.mark.usefixtures("later")
def test_a_checkpoint_whose_migration_fails_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = half_done(tmp_path)
    before = content(job.directory / "run.db")
    become_later()
    with closing(sqlite3.connect(job.directory / "run.db")) as db:
        db.execute("CREATE TABLE later (in_the_way)")
    with pytest.raises(StoreError, match=r"table later already exists.*Nothing was sent"):
        job.run()
    with closing(sqlite3.connect(job.directory / "run.db")) as db:
        db.execute("DROP TABLE later")
    assert content(job.directory / "run.db") == before
    become_today()
    assert job.run().exit_code is Exit.OK
    assert len(job.accepted()) == 6


@pytest.mark.usefixtures("later")
def test_what_only_reads_an_older_checkpoint_says_how_it_is_brought_up_to_date(tmp_path: Path) -> None:
    job = half_done(tmp_path)
    become_later()
    with pytest.raises(StoreError, match=rf"older batchrun \(without {LATER}\).*`batchrun run` keeps a copy"):
        Reader(job.directory / "run.db")
    with open_existing(load_job(job.write()), RunDir(job.directory)) as opened:
        assert opened.reader.count_rows() == 6


@pytest.mark.usefixtures("later")
def test_a_newer_checkpoint_is_refused_to_the_last_byte_as_it_was(tmp_path: Path) -> None:
    job = half_done(tmp_path)
    become_later()
    job.run(limit=4)
    become_today()
    left_open(job.directory / "run.db")
    before = files(job)
    for refused in (
        lambda: job.run(),
        lambda: Store(job.directory / "run.db"),
        lambda: Reader(job.directory / "run.db"),
    ):
        with pytest.raises(StoreError, match=f"newer batchrun .{LATER}.; upgrade"):
            refused()
    assert files(job) == before


def test_a_checkpoint_that_was_damaged_while_a_process_died_is_refused_as_it_is(tmp_path: Path) -> None:
    job = half_done(tmp_path, rows=40)
    with closing(sqlite3.connect(job.directory / "run.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'attempt_row'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    _overwrite(job.directory / "run.db", (page - 1) * size, b"\xee" * 64)
    left_open(job.directory / "run.db")
    before = files(job)
    with pytest.raises(StoreError, match=r"(?s)damaged.*Nothing was sent.*`batchrun recover`") as refusal:
        job.run()
    assert refusal.value.exit_code is Exit.DISK
    assert files(job) == before


def test_a_checkpoint_whose_making_was_cut_off_is_made_again(tmp_path: Path) -> None:
    """A process was killed before the checkpoint had its write-ahead log: a journal tells how to undo what it did."""
    path = tmp_path / "run.db"
    killed(partial(_half_written, path))
    assert (tmp_path / "run.db-journal").stat().st_size > 512
    Store(path).close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM begun").fetchone() == (1,)


def test_a_checkpoint_that_can_have_no_write_ahead_log_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says so in the pragma's answer, and would go on without."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda _path, **named: connect(":memory:", **named))
    with pytest.raises(StoreError, match=r"write-ahead log here\. Nothing was sent"):
        Store(tmp_path / "run.db")


def test_only_after_a_death_the_whole_checkpoint_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = half_done(tmp_path)
    left_open(job.directory / "run.db")
    asked = watched(monkeypatch)
    job.run()
    assert asked.count("PRAGMA quick_check(1)") == 1
    asked.clear()
    job.rows.append({"id": "more", "question": "And then?"})
    job.run()
    with open_existing(load_job(job.write()), RunDir(job.directory)):
        pass
    Store(job.directory / "run.db").close()
    assert asked
    assert "PRAGMA quick_check(1)" not in asked


def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that SQLite is given from now on."""
    asked, connect = list[str](), sqlite3.connect

    def watching(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **named)
        connection.set_trace_callback(asked.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", watching)
    return asked


def left_open(path: Path) -> None:
    """What a killed process leaves: a log that nobody has taken in."""
    killed(partial(_written, path))


def killed(do: Callable[[], object]) -> None:
    """Do it in a process that closes nothing."""
    pid = os.fork()
    if pid == 0:
        _left.append(do())
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def _written(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("INSERT INTO meta VALUES ('left', 'open')")
    return db


def _half_written(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA cache_size = 1")
    db.execute("CREATE TABLE begun (x)")
    db.execute("INSERT INTO begun SELECT zeroblob(9999)")
    db.execute("BEGIN")
    db.execute("DELETE FROM begun")
    for _ in range(9):
        db.execute("INSERT INTO begun SELECT zeroblob(9999)")
    return db


def _overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)
