"""A checkpoint that is not as it was written is not believed, whatever SQLite thinks of it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest

from batchrun.aftercare.recovery import recover
from batchrun.errors import Exit, StoreError
from batchrun.runs.directory import RunDir
from batchrun.spec.load import load_job
from batchrun.store.trust import contradictions, is_sound
from tests.rehearsal import Rehearsal
from tests.reliability.clocks import Clocks, Died


@pytest.fixture
def job(tmp_path: Path) -> Rehearsal:
    """Six rows; the run was killed when some were sent, some answered, and some not even begun."""
    job = Rehearsal(tmp_path / "job", rows=6, limits={"posts": 1, "in_flight": 3})
    job.clock = Clocks(died=lambda: shutil.copytree(job.directory, tmp_path / "image"))
    job.clock.dies_at = 70
    with suppress(Died):
        job.run(latency="uniform:1s,30s")
    job.clock.dies_at = None
    shutil.rmtree(job.directory)
    (tmp_path / "image").rename(job.directory)
    return job


def tampered(job: Rehearsal, statement: str) -> list[str]:
    """What is said of the checkpoint after a statement that batchrun would never make."""
    with closing(sqlite3.connect(job.directory / "run.db")) as db:
        db.execute("DROP INDEX one_live_attempt")
        db.execute("CREATE UNIQUE INDEX one_live_attempt ON attempt (row_id, exchange) WHERE "
                   "superseded_at IS NULL AND state NOT IN ('not_sent', 'refused')")  # fmt: skip
        assert db.execute(statement).rowcount, "nothing was tampered with"
        db.commit()
        return list(contradictions(db, job.directory / "run.ledger"))


def stopped_by(job: Rehearsal) -> None:
    """Raises what ends the run."""
    if (error := job.run().stopped_by) is not None:
        raise error


def test_what_a_death_leaves_is_believed(job: Rehearsal) -> None:
    with closing(sqlite3.connect(job.directory / "run.db")) as db:
        assert list(contradictions(db, job.directory / "run.ledger")) == []
        states = {state for (state,) in db.execute("SELECT state FROM attempt")}
        assert states >= {"submitted", "fetched"}
    assert job.run().exit_code in (Exit.OK, Exit.ROWS_HELD)
    assert is_sound(job.directory / "run.db", job.directory / "run.ledger")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM attempt WHERE id = 2",
        "UPDATE attempt SET row_id = 6 WHERE id = 2",
        "UPDATE attempt SET exchange = 1 WHERE id = 2",
        "UPDATE attempt SET number = 9 WHERE id = 2",
        "UPDATE attempt SET request_sha = 'x' WHERE id = 2",
        "UPDATE attempt SET state = 'refused', interaction_id = NULL WHERE id = 2",
        "UPDATE attempt SET state = 'submittee' WHERE id = 2",
        "UPDATE attempt SET interaction_id = 'v1_other' WHERE id = 2",
        "UPDATE attempt SET superseded_at = 0 WHERE id = 2",
        "UPDATE attempt SET id = 99 WHERE id = 2",
        "UPDATE row SET key = 'r9' WHERE id = 1",
        "UPDATE row SET outcome = 'succeedee' WHERE outcome = 'succeeded'",
        "UPDATE row SET outcome = NULL WHERE outcome = 'succeeded'",
        "UPDATE meta SET value = 'x' WHERE name = 'epoch'",
        "UPDATE meta SET name = 'epocg' WHERE name = 'epoch'",
        "UPDATE meta SET value = 'x' WHERE name = 'run_id'",
    ],
)
def test_what_contradicts_itself_or_its_ledger_is_not(job: Rehearsal, statement: str) -> None:
    assert tampered(job, statement)
    sent = len(job.ledger())
    with pytest.raises(StoreError, match="damaged") as refused:
        job.run()
    assert "`batchrun recover`" in str(refused.value)
    assert len(job.ledger()) == sent
    recover(load_job(job.write()), RunDir(job.directory), job.clock.wall())
    assert job.run().exit_code in (Exit.OK, Exit.ROWS_HELD)
    assert len(job.accepted()) == len(job.rows)


def test_the_index_that_finds_a_rows_attempts_is_held_against_its_table(job: Rehearsal) -> None:
    """SQLite looks for a row's POSTs there; `quick_check` does not compare the two."""
    with closing(sqlite3.connect(job.directory / "run.db", isolation_level=None)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'attempt_row'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    content = bytearray((job.directory / "run.db").read_bytes())
    content[page * size - 2] ^= 4  # the row of the index's first record, which is the last on its page
    (job.directory / "run.db").write_bytes(content)
    with closing(sqlite3.connect(job.directory / "run.db")) as db:
        said = next(contradictions(db, job.directory / "run.ledger"))
    assert said == "the index attempt_row and its table differ"


@pytest.mark.parametrize("data", ['{"id": "r5", "question": "Another?"}', '{"id'], ids=["edited", "cut"])
def test_a_row_whose_input_is_not_what_was_read_is_not_sent(job: Rehearsal, data: str) -> None:
    assert tampered(job, f"UPDATE row SET data = '{data}' WHERE id = 6") == []
    with pytest.raises(StoreError, match="damaged"):
        stopped_by(job)
    recover(load_job(job.write()), RunDir(job.directory), job.clock.wall())
    assert job.run().exit_code in (Exit.OK, Exit.ROWS_HELD)


@pytest.mark.parametrize("column", ["raw", "usage"])
def test_an_answer_that_cannot_be_read_is_fetched_again_after_a_recovery(job: Rehearsal, column: str) -> None:
    job.run()
    with closing(sqlite3.connect(job.directory / "run.db")) as db:
        db.execute(f"UPDATE attempt SET {column} = CAST('x' AS BLOB) WHERE id = 2")
        db.commit()
    job.rows.append({"id": "more", "question": "More?"})
    with pytest.raises(StoreError, match="attempt 2 of row 'r1' is damaged"):
        job.run()
    recover(load_job(job.write()), RunDir(job.directory), job.clock.wall())
    assert job.run().exit_code in (Exit.OK, Exit.ROWS_HELD)
    assert len(job.accepted()) == len(job.rows)


def test_no_flip_of_a_bit_leads_to_a_traceback(job: Rehearsal) -> None:
    whole, random = (job.directory / "run.db-wal").read_bytes(), Random(3)
    for _ in range(100):
        content = bytearray(whole)
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        (job.directory / "run.db-wal").write_bytes(content)
        (job.directory / "run.db-shm").unlink(missing_ok=True)
        assert is_sound(job.directory / "run.db", job.directory / "run.ledger") in (True, False)
