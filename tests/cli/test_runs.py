"""`batchrun runs`: what there is under a directory, however it stands and whatever it is called."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from batchrun.cli import commands
from batchrun.cli.inventory import age, table
from batchrun.glyphs import columns
from batchrun.reports.inventory import DEEPEST, Found, Search, found_in
from batchrun.runs.directory import RunDir
from batchrun.store.control import Control, Verb
from batchrun.store.lock import RunLock
from tests.processes import command, emulator, finish, start, write_job
from tests.rehearsal import Rehearsal


def listed(where: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """What the command tells as JSON, by directory."""
    code, out, err = command(where, "runs", *arguments, "--json")
    assert code == 0, err
    return {each["directory"]: each for each in json.loads(out)}


def tree(where: Path) -> list[str]:
    return sorted(str(path) for path in where.rglob("*"))


def copied(job: Rehearsal, to: Path) -> RunDir:
    """A run directory of its own with the checkpoint of the job's run."""
    to.mkdir(parents=True)
    (to / "run.db").write_bytes((job.directory / "run.db").read_bytes())
    return RunDir(to)


@pytest.fixture
def job(tmp_path: Path) -> Rehearsal:
    """A job whose run is finished."""
    job = Rehearsal(tmp_path / "job", 4)
    job.run()
    return job


def test_a_finished_run_is_told_with_its_counts(tmp_path: Path, job: Rehearsal) -> None:
    [found] = listed(tmp_path).values()
    assert (found["directory"], found["state"], found["job"]) == ("job/runs/sums.emulated", "finished", "sums")
    assert (found["rows"], found["done"], found["failed"], found["holder"]) == (4, 4, 0, None)


def test_a_run_with_rows_left_is_stopped_and_one_with_rows_in_doubt_is_held(tmp_path: Path) -> None:
    stopped, held = Rehearsal(tmp_path / "a", 4), Rehearsal(tmp_path / "b", 4, retry={"ambiguous": {"model": "hold"}})
    stopped.run(faults="429_daily")
    held.run(faults="drop_after:1")
    found = {each.directory: each for each in map(found_in, Search(tmp_path).directories())}
    assert (found[stopped.directory].state, found[stopped.directory].done) == ("stopped", 0)
    assert (found[held.directory].state, found[held.directory].held) == ("held", 4)


def test_a_run_that_goes_on_is_told_with_its_process(tmp_path: Path, job: Rehearsal) -> None:
    lock = RunLock(job.directory)
    found = found_in(RunDir(job.directory))
    lock.close()
    assert (found.state, found.done) == ("running", 4)
    assert found.holder is not None
    assert f"process {os.getpid()} " in found.holder


def test_a_real_run_is_told_while_it_goes_on_and_after_it_was_killed(tmp_path: Path) -> None:
    write_job(tmp_path, 3)
    with emulator(tmp_path, "--latency", "1h") as url:
        process = start(tmp_path, "run", "job.json", "--base-url", url, env={**os.environ, "GEMINI_API_KEY": "k"})
        assert process.stderr is not None
        found: dict[str, Any] = {}
        while found.get("in_flight") != 3:
            found = listed(tmp_path).get("runs/job", {})
        assert (found["state"], found["done"]) == ("running", 0)
        process.send_signal(signal.SIGKILL)
        finish(process)
    after = listed(tmp_path)["runs/job"]
    assert (after["state"], after["in_flight"]) == ("stopped", 3)


def test_damage_is_told_and_hides_no_other_run(tmp_path: Path, job: Rehearsal) -> None:
    broken, newer, gone = (copied(job, tmp_path / name) for name in ("broken", "newer", "gone"))
    content = bytearray(broken.checkpoint.read_bytes())
    content[100:3000] = b"x" * 2900
    broken.checkpoint.write_bytes(content)
    with sqlite3.connect(newer.checkpoint) as db:
        db.execute("UPDATE _sqlite_migrations SET name = 'm999'")
    db.close()
    gone.checkpoint.unlink()
    gone.ledger.write_text("x")
    states = {each.directory.name: each.state for each in map(found_in, Search(tmp_path).directories())}
    assert states == {"broken": "damaged", "newer": "unreadable", "gone": "damaged", "sums.emulated": "finished"}


def test_a_checkpoint_that_somebody_has_written_into_hides_no_other_run(tmp_path: Path, job: Rehearsal) -> None:
    changed = copied(job, tmp_path / "changed")
    with sqlite3.connect(changed.checkpoint) as db:
        db.execute("UPDATE meta SET value = 'no JSON'")
    db.close()
    states = {name: each["state"] for name, each in listed(tmp_path).items()}
    assert states == {"changed": "damaged", "job/runs/sums.emulated": "finished"}


ALTERED = {
    "text where a number belongs": "UPDATE meta SET value = 'soon' WHERE name = 'retention'",
    "a number beyond 64 bits": "UPDATE attempt SET polls = 9223372036854775807",
    "no number": "CREATE TABLE new AS SELECT *, 1 FROM attempt; UPDATE new SET posts = NULL; DROP TABLE attempt; "
    "ALTER TABLE new RENAME TO attempt",
    "usage that is none": "UPDATE attempt SET usage = 'null' WHERE id = 1; UPDATE attempt SET usage = '7' WHERE id = 2",
    "bytes for a word": "UPDATE row SET outcome = x'00ff'",
    "bytes that are no text": "UPDATE row SET outcome = CAST(x'ff' AS TEXT)",
    "no such outcome": "UPDATE row SET outcome = 'lost' || char(0)",
    "a column gone": "ALTER TABLE row RENAME COLUMN outcome TO result",
    "a table gone": "DROP TABLE attempt",
    "another table's columns": "DROP TABLE attempt; CREATE VIEW attempt AS SELECT 1 AS id",
    "limits that are no object": "UPDATE meta SET value = '[1]' WHERE name = 'limits'",
    "stages that are no names": "UPDATE meta SET value = '1e400' WHERE name = 'request_parts'",
    "meta that is no JSON": "UPDATE meta SET value = '{' WHERE name IN ('limits', 'request_parts')",
    "JSON without a bottom": f"UPDATE meta SET value = '{'[' * 100_000}'",
    "bytes in meta": "UPDATE meta SET value = x'00ff'",
}


@pytest.mark.parametrize("statements", ALTERED.values(), ids=ALTERED.keys())
def test_whatever_is_wrong_with_a_checkpoint_is_told_by_all_who_look(
    job: Rehearsal, statements: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = copied(job, job.where / "changed")
    db = sqlite3.connect(changed.checkpoint)
    db.executescript(f"PRAGMA foreign_keys = OFF; {statements}")
    db.close()
    monkeypatch.setenv("BATCHRUN_TRACEBACK", "1")  # a failure of our own would come through
    told = 0
    for look in (["status"], ["status", "--json"], ["watch", "--once", "--plain"], ["runs"], ["runs", "--json"]):
        found = CliRunner().invoke(commands, [*look, str(changed.path)])
        assert found.exit_code == (74 if "error: " in found.stderr else 0), found.exception
        told += "batchrun recover" in found.stderr + found.stdout
    assert told > 0


@pytest.mark.parametrize("statements", ALTERED.values(), ids=ALTERED.keys())
def test_what_status_says_of_a_checkpoint_leads_to_one_that_can_be_read(job: Rehearsal, statements: str) -> None:
    db = sqlite3.connect(job.directory / "run.db")
    db.executescript(f"PRAGMA foreign_keys = OFF; {statements}")
    db.close()
    words = [str(job.where / "job.json"), "--emulator"]
    if "batchrun recover" in CliRunner().invoke(commands, ["status", *words]).stderr:
        recovered = CliRunner().invoke(commands, ["recover", *words])
        assert recovered.exit_code == 0, recovered.output
        job.run()
    assert CliRunner().invoke(commands, ["status", *words]).exit_code == 0
    assert len(job.billed()) == 4


@pytest.mark.parametrize("statements", ALTERED.values(), ids=ALTERED.keys())
def test_whatever_is_wrong_with_a_checkpoint_is_no_failure_of_who_counts_draws_or_goes_over_it(
    job: Rehearsal, statements: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = copied(job, job.where / "changed")
    with closing(sqlite3.connect(changed.checkpoint)) as db:
        db.executescript(f"PRAGMA foreign_keys = OFF; {statements}")
    monkeypatch.setenv("BATCHRUN_TRACEBACK", "1")  # a failure of our own would come through
    of_job = [str(job.write()), "--run-dir", str(changed.path)]
    for look in (["show", *of_job, "r1"], ["cost", *of_job], ["graph", *of_job], ["verify", str(changed.path)]):
        found = CliRunner().invoke(commands, look)
        assert isinstance(found.exception, SystemExit | None), (look, found.exception)
        assert found.exit_code in (0, 65, 74) or "difference" in found.stdout, (look, found.output)


def test_a_pause_that_no_clock_could_have_noted_is_told_as_a_fault_of_its_own_file(job: Rehearsal) -> None:
    Control(job.directory).say(Verb.PAUSE, {}, 9e99, "me", None)
    for look, code in ((["status"], 0), (["status", "--json"], 74), (["watch", "--once", "--plain"], 74)):
        found = CliRunner().invoke(commands, [*look, str(job.directory)])
        assert (found.exit_code, "control.db: cannot be used" in found.output) == (code, True), found.exception


def test_a_checkpoint_that_is_cut_off_anywhere_is_told_so(job: Rehearsal) -> None:
    cut = copied(job, job.where / "cut")
    whole = cut.checkpoint.read_bytes()
    for size in (0, 1, 100, 4096, 5000, len(whole) // 2, len(whole) - 4096):
        cut.checkpoint.write_bytes(whole[:size])
        found = CliRunner().invoke(commands, ["status", str(cut.path)])
        assert (found.exit_code, str(cut.checkpoint) in found.stderr) == (74, True), (size, found.exception)
        assert found_in(cut).state == "damaged"


def test_a_lock_that_is_a_pipe_is_not_waited_for(tmp_path: Path, job: Rehearsal) -> None:
    os.mkfifo(copied(job, tmp_path / "copy").path / "run.lock")
    assert listed(tmp_path)["copy"]["state"] == "finished"


def test_slots_and_tries_are_found_and_links_and_what_lies_deep_are_not(tmp_path: Path, job: Rehearsal) -> None:
    slot, tried = tmp_path / "runs" / "feed" / "2026-11-23T0200Z", tmp_path / "runs" / "feed.tries" / "1"
    deep = tmp_path.joinpath("d", *map(str, range(DEEPEST)))
    for each in (slot, tried, deep, tmp_path / ".hidden"):
        copied(job, each)
    (tmp_path / "link").symlink_to(job.where)
    (tmp_path / "loop").symlink_to(tmp_path)
    search = Search(tmp_path)
    assert {each.path for each in search.directories()} == {slot, job.directory}
    assert search.given_up
    assert tried in {each.path for each in Search(tmp_path, tries=True).directories()}


def test_nothing_is_made_or_changed(tmp_path: Path, job: Rehearsal) -> None:
    job.directory.joinpath("run.db-wal").unlink(missing_ok=True)
    before = tree(tmp_path)
    listed(tmp_path)
    assert tree(tmp_path) == before


def test_what_a_killed_process_has_half_said_to_a_run_is_left_as_it_is(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 4)
    job.run(faults="429_daily")
    said, ours = Control(job.directory), tmp_path / "ours"
    said.say(Verb.PAUSE, {}, 1.0, "me", None)
    with closing(sqlite3.connect(said.path, isolation_level=None)) as db:
        db.executescript("PRAGMA cache_size = 1; BEGIN")
        db.executemany("UPDATE wish SET answer = ?", [("x" * 90_000,), ("y" * 90_000,)])
        ours.mkdir()
        for path in (*job.directory.glob("control.db*"), job.directory / "run.db"):
            (ours / path.name).write_bytes(path.read_bytes())
    before = {path.name: path.read_bytes() for path in ours.iterdir()}
    assert "control.db-journal" in before
    assert listed(tmp_path)["ours"]["state"] == "stopped", "it cannot be told whether it is paused"
    assert {path.name: path.read_bytes() for path in ours.iterdir()} == before
    assert Control(ours).pause() is not None, "who may write undoes it"


def test_a_copy_of_a_run_that_goes_on_is_left_as_it_is(tmp_path: Path, job: Rehearsal) -> None:
    copy = copied(job, tmp_path / "copy")
    (copy.path / "run.db-wal").write_bytes(b"x" * 100)
    before = tree(tmp_path)
    assert (listed(tmp_path)["copy"]["state"], tree(tmp_path)) == ("unreadable", before)


def test_a_look_stops_no_run_that_begins_just_then(job: Rehearsal) -> None:
    (job.directory / "run.lock").write_text(json.dumps({"pid": 2**22 + 1, "host": socket.gethostname()}))  # no such pid
    with (job.directory / "run.lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        leaving = threading.Timer(0.1, fcntl.flock, (looking, fcntl.LOCK_UN))  # descheduled on a busy machine
        leaving.start()
        RunLock(job.directory).close()
        leaving.join()
    assert found_in(RunDir(job.directory)).state == "finished"


def test_the_newest_is_first(tmp_path: Path, job: Rehearsal) -> None:
    for number, name in enumerate(("old", "new")):
        os.utime(copied(job, tmp_path / name).checkpoint, (4e9 + number, 4e9 + number))
    assert list(listed(tmp_path))[:2] == ["new", "old"]


def test_an_empty_checkpoint_has_an_age_and_an_empty_log_beside_one_makes_it_no_younger(job: Rehearsal) -> None:
    empty, read = copied(job, job.where / "empty"), copied(job, job.where / "read")
    empty.checkpoint.write_bytes(b"")
    (read.path / "run.db-wal").touch()
    for each in (empty, read):
        os.utime(each.checkpoint, (1e9, 1e9))
    found = [found_in(each) for each in (empty, read)]
    assert [(each.state, each.changed) for each in found] == [("damaged", 1e9), ("finished", 1e9)]


def test_a_directory_without_runs_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert command(tmp_path, "runs", "empty")[:2] == (0, "empty: no runs\n")
    assert (command(tmp_path, "runs", "nowhere")[0], listed(tmp_path)) == (2, {})


# -- the table -------------------------------------------------------------------------------------------------------

HOSTILE = "a\x1b[2J\nfinished  4/4\u202e名前" * 3
RUNS = [
    Found(Path("/top/runs/invoices"), "running", 90.0, "process 7 on host", rows=40_000, done=1200, in_flight=480),
    Found(Path(f"/top/{HOSTILE}"), "damaged", 0.0, reason="the checkpoint is damaged: \x1b[31mmalformed. " * 8),
    Found(Path("/top"), "held", 1.0, rows=5, done=5, failed=1, held=2, charged_usd=12.5),
]


@pytest.mark.parametrize("width", [30, 60, 100, 200])
def test_the_table_fits_and_no_name_can_move_the_cursor_or_forge_a_line(width: int) -> None:
    lines = list(table(RUNS, Path("/top"), 100.0, width))
    assert max(map(columns, lines)) <= width
    assert all(line.isprintable() for line in lines)
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["state", "running", "damaged", "held"]


def test_a_line_says_state_progress_failures_age_and_place() -> None:
    lines = list(table(RUNS, Path("/top"), 100.0, 10_000))
    assert lines[1].split() == ["running", "1,200/40,000", "480", "10s", "runs/invoices"]
    assert lines[2] == "  process 7 on host"
    assert lines[-1].split() == ["held", "5/5", "3", "1m", "$12.50", "/top"]


def test_ages() -> None:
    assert [age(seconds) for seconds in (-5, 42, 300, 11_000, 1_100_000)] == ["0s", "42s", "5m", "3h", "12d"]
