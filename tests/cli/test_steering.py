"""The commands that steer a run, against real processes, and where nobody runs."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from click.testing import CliRunner, Result

from batchrun.cli import commands
from batchrun.errors import Exit
from batchrun.runs.directory import RunDir
from batchrun.runs.wishes import say
from batchrun.store.control import Control, Verb
from batchrun.store.lock import RunLock, myself, running
from batchrun.views.look import look
from tests.processes import emulator, ledger, write_job
from tests.rehearsal import Rehearsal
from tests.reliability.lives import Life, lived


def invoked(*words: str) -> Result:
    return CliRunner().invoke(commands, words)


def begun(where: Path) -> Rehearsal:
    job = Rehearsal(where, 4)
    job.run(limit=2)
    return job


def test_a_pause_of_a_run_in_another_process_is_answered_shown_and_ended_by_a_signal(tmp_path: Path) -> None:
    write_job(tmp_path, 30, limits={"posts": 4, "rpm": 600})
    with emulator(tmp_path, "--latency", "100ms") as url:
        run = Life(tmp_path, "run", "job.json", "--base-url", url)
        while len(ledger(tmp_path)) < 3:
            assert not run.ends(0.02)
        paused = lived(tmp_path, "pause", "job.json")
        sent = len(ledger(tmp_path))
        assert (paused.code, paused.out.startswith("paused: "), 3 <= sent < 30) == (0, True, True)
        status = lived(tmp_path, "status", "runs/job").out
        assert "Paused since 20" in status
        assert f"running: process {run.pid}" in status
        assert re.search(rf"^paused .*\n  process {run.pid} on ", lived(tmp_path, "runs").out, flags=re.MULTILINE)
        os.kill(run.pid, signal.SIGINT)
        end = run.end()
        assert (end.code, len(ledger(tmp_path)), "pause, said by " in end.err) == (Exit.SIGINT, sent, True)
        tick = lived(tmp_path, "tick", "job.json", "--base-url", url)
        assert (tick.code, "nothing is sent until `batchrun resume`" in tick.out) == (Exit.TRY_LATER, True)
        assert lived(tmp_path, "resume", "runs/job").code == 0
        assert lived(tmp_path, "run", "job.json", "--base-url", url, "--set", "limits.rpm=6000").code == 0
    assert len(ledger(tmp_path)) == 30


def test_what_is_of_a_process_s_life_is_refused_where_nobody_runs_and_says_what_to_do(tmp_path: Path) -> None:
    job = begun(tmp_path)
    path = str(job.write())
    for words, advice in (
        (("set", path, "limits.rpm=300"), "nobody runs this now. Give the next run `--set`"),
        (("drain", path), "nobody runs this now. There is nothing to drain"),
        (("detach", str(job.directory)), "`batchrun tick` submits and waits for nothing"),
    ):
        refused = invoked(*words)
        assert (refused.exit_code, advice in refused.stderr) == (Exit.TRY_LATER, True)
    assert not Control(job.directory).exists


def test_a_pause_where_nobody_runs_is_for_the_next_run(tmp_path: Path) -> None:
    job = begun(tmp_path)
    path = str(job.write())
    assert invoked("resume", path).stdout == "it was not paused, and nobody runs it now\n"
    assert invoked("pause", path).stdout == f"{job.directory}: nobody runs this now; the next run here begins paused\n"
    assert '"by": "' in invoked("status", path, "--json").stdout
    said = f"{job.directory}: nobody runs this now; the next run here is not paused\n"
    assert invoked("resume", path).stdout == said
    assert '"pause": null' in invoked("status", path, "--json").stdout
    control = job.directory / "control.db"
    assert control.stat().st_mode & 0o777 == 0o600
    control.write_bytes(b"noise" * 1000)
    assert "whether it is paused cannot be told: " in invoked("status", path).stdout
    assert invoked("pause", path).exit_code == Exit.DISK


def test_a_pause_of_a_run_with_rows_left_that_nobody_runs_is_told_by_all_who_look(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 4)
    job.run(faults="429_daily")
    path = str(job.write())
    assert invoked("pause", path).exit_code == 0
    [told] = json.loads(invoked("runs", str(job.where), "--json").stdout)
    assert (told["state"], told["holder"]) == ("paused", None)
    assert " paused, not running · 0 of 4 done" in invoked("watch", path, "--once").stderr
    since, nobody = look(RunDir(job.directory), job.clock.wall()).notices
    assert since.endswith("nothing is sent until `batchrun resume`")
    assert nobody == "nobody runs it, and the next run here begins paused: `batchrun resume` first, then run it again"
    assert invoked("resume", path).exit_code == 0
    assert invoked("runs", str(job.where)).stdout.splitlines()[1].startswith("stopped ")
    (job.directory / "control.db").write_bytes(b"noise" * 1000)
    listed = invoked("runs", str(job.where))
    assert listed.stdout.splitlines()[1].startswith("stopped "), "what cannot be read hides no run"


def test_limits_that_cannot_be_set_are_refused_before_anything_is_said(tmp_path: Path) -> None:
    job = begun(tmp_path)
    for text, why in (
        ("limits.rpm", "write it as NAME=VALUE"),
        ("limits.rpm=fast", "a number is expected"),
        ("limits.rpm=0", "limits.rpm=0: "),
        ("limits.in_flight=null", "a whole number is expected"),
        ("limits.posts=3", "'limits.posts' cannot be set while a run goes on"),
        ("stages.a.limits.in_flight=3", "cannot be set while a run goes on"),
        ("limits.rpm=[", "limits.rpm=[: "),
    ):
        refused = invoked("set", str(job.write()), text)
        assert (refused.exit_code, why in refused.stderr) == (Exit.BAD_INPUT, True), refused.stderr
        assert "Nothing was changed" in refused.stderr


def test_another_job_s_run_and_a_directory_that_others_may_write_are_not_steered(tmp_path: Path) -> None:
    job = begun(tmp_path)
    job.spec["name"] = "other"
    assert "another job" in invoked("pause", str(job.write()), "--run-dir", str(job.directory)).stderr
    os.chmod(job.directory, 0o777)
    assert "every user of this machine may write" in invoked("pause", str(job.directory)).stderr
    assert "nothing has been run here" in invoked("pause", str(job.write())).stderr


def test_a_process_that_does_not_look_is_said_not_to_have_answered(tmp_path: Path) -> None:
    directory = RunDir(begun(tmp_path).directory)
    with closing(RunLock(directory.path)):
        said = say(directory, Verb.DRAIN, {}, time.time, 0.2)  # noqa: TID251
    assert (said.heard, said.done) == (False, False)
    assert said.text == f"{myself()} did not answer in 0.2 s: it will when it looks, unless it is ending by now"
    assert [wish.verb for wish in Control(directory.path).unanswered(myself())] == ["drain"]


def test_a_wish_is_taken_back_if_the_process_ends_before_it_looks(tmp_path: Path) -> None:
    directory = RunDir(begun(tmp_path).directory)
    lock = RunLock(directory.path)

    def wall() -> float:
        """The process ends while the command waits."""
        if Control(directory.path).exists:
            lock.close()
        return time.time()  # noqa: TID251

    said = say(directory, Verb.DRAIN, {}, wall, 5)
    assert (said.done, said.text) == (False, "the run ended before it looked: nothing came of this")
    assert Control(directory.path).unanswered(myself()) == []


def test_what_a_killed_command_has_half_written_is_undone_by_whoever_looks(tmp_path: Path) -> None:
    directory = begun(tmp_path).directory
    control = Control(directory)
    control.say(Verb.PAUSE, {}, 1.0, "anna on here", None)
    pid = os.fork()
    if not pid:
        db = sqlite3.connect(control.path, isolation_level=None)
        db.execute("PRAGMA cache_size = 1")
        db.execute("PRAGMA cache_spill = 1")
        db.execute("BEGIN IMMEDIATE")
        for _ in range(2000):
            db.execute("INSERT INTO wish (verb, settings, said_at, said_by) VALUES ('resume', '{}', 2, 'a killed one')")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert (directory / "control.db-journal").stat().st_size > 0
    pause = control.pause()
    assert pause is not None
    assert pause.by == "anna on here"


def test_who_only_looks_whether_it_is_locked_keeps_nobody_from_starting(tmp_path: Path) -> None:
    for _ in range(200):
        assert running(tmp_path) is None
        RunLock(tmp_path).close()


def test_limits_without_a_job_are_answered_with_how_to_write_both() -> None:
    for words in (["limits.rpm=300"], ["limits.rpm=300", "limits.tpm=5"], ["job.yaml"]):
        result = invoked("set", *words)
        assert (result.exit_code, "`batchrun set job.yaml limits.rpm=300`" in result.output) == (2, True), words


def test_a_command_without_its_job_is_answered_with_how_to_name_one() -> None:
    for word in ("pause", "resume", "set", "drain", "detach", "status", "run"):
        result = CliRunner().invoke(commands, [word], prog_name="batchrun")
        assert (result.exit_code, f"`batchrun {word} job.yaml`" in result.output) == (2, True), result.output
