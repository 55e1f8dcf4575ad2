"""Scheduled jobs on the command line: run and tick as cron does it, and every look at a run by its slot."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from batchrun.cli import commands
from batchrun.schedule.record import Record
from batchrun.store.lock import RunLock

SPEC: dict[str, Any] = {
    "name": "nightly",
    "schedule": {"cron": "0 3 * * *"},
    "input": {"path": "rows.jsonl", "key": "id"},
    "request": {"model": "gemini-3.5-flash", "input": "{{ question }} on {{ date }}"},
}
FAST = ("--emulator", "--latency", "0s")


@pytest.fixture
def job(tmp_path: Path) -> Path:
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "question": "What?"}\n{"id": "b", "question": "Why?"}\n')
    path = tmp_path / "job.json"
    path.write_text(json.dumps(SPEC))
    return path


def edit(job: Path, **changes: Any) -> None:
    job.write_text(json.dumps({**SPEC, **changes}))


def batchrun(*words: str | Path) -> Result:
    return CliRunner().invoke(commands, [str(word) for word in words])


def home(job: Path) -> Path:
    return job.parent / "runs" / "nightly.emulated"


def test_run_by_hand_runs_at_once_and_again_does_nothing(job: Path) -> None:
    assert batchrun("run", job, *FAST).exit_code == 0
    assert "have their outcome already" in batchrun("run", job, *FAST).output
    assert len(list(home(job).glob("*/results.parquet"))) == 1


def test_commands_mean_the_latest_slot_that_has_a_run_or_the_one_that_is_named(job: Path) -> None:
    for day in ("2026-11-02", "2026-11-01"):
        assert batchrun("run", job, "--slot", day, *FAST).exit_code == 0
    looks = {
        "status": batchrun("status", job),
        "verify": batchrun("verify", job),
        "export": batchrun("export", job),
    }
    assert {name: "2026-11-02T0300Z" in done.output for name, done in looks.items()} == dict.fromkeys(looks, True)
    assert "2026-11-01T0300Z" in batchrun("status", job, "--slot", "2026-11-01").output
    shown = json.loads(batchrun("show", job, "--slot", "2026-11-01T0300Z", "a").output)
    assert "on 2026-11-01" in json.dumps(shown)
    for command in ("cost", "graph", "cancel", "resolve", "approve", "retry", "purge", "download"):
        done = batchrun(command, job, "--slot", "2026-11-01", *(["--yes"] if command == "purge" else []))
        assert done.exit_code == 0, (command, done.output)
    assert "nothing has been run here yet" in batchrun("status", job, "--slot", "2026-10-01").output


def test_what_is_advised_next_is_about_the_same_slot(job: Path) -> None:
    edit(job, request={**SPEC["request"], "input": "{{ nothing }}"})
    done = batchrun("run", job, "--slot", "2026-11-02", *FAST)
    assert f"batchrun show {job} --slot 2026-11-02T0300Z --emulator KEY" in done.output


def test_retried_rows_of_a_slot_are_sent_by_the_next_tick(job: Path) -> None:
    faults = ("--faults", "failed:#1")
    first = batchrun("run", job, "--slot", "2026-11-02", *FAST, *faults)
    assert first.exit_code == 3, first.output
    assert batchrun("tick", job, *FAST).output.startswith(f"{job}: no slot is due")
    assert "pending again" in batchrun("retry", job, "--slot", "2026-11-02").output
    (line,) = batchrun("tick", job, *FAST).output.splitlines()
    assert line.startswith("2026-11-02T0300Z begun: nightly: 1 of 2 rows succeeded, 1 in flight")


def test_a_slot_that_could_not_read_its_input_is_not_told_as_finished_and_one_without_rows_is(job: Path) -> None:
    rows = job.parent / "rows.jsonl"
    rows.unlink()
    edit(job, schedule={"cron": "* * * * *"})
    assert "blocked: " in batchrun("tick", job, *FAST).output
    (slot,) = home(job).glob("*Z")
    assert "not running · 0 of 0 done" in batchrun("watch", slot, "--once").output
    assert batchrun("runs", job.parent).output.splitlines()[1].startswith("stopped ")
    rows.touch()
    assert batchrun("run", job, "--slot", slot.name, *FAST).exit_code == 0
    assert "ended · 0 of 0 done" in batchrun("watch", slot, "--once").output
    assert batchrun("runs", job.parent).output.splitlines()[1].startswith("finished ")


def test_a_row_that_failed_is_done_and_has_not_succeeded(job: Path) -> None:
    run = batchrun("run", job, "--slot", "2026-11-02", *FAST, "--faults", "failed:#1", "--brief")
    assert "nightly: 1 of 2 rows succeeded, 1 failed" in run.output
    assert "2 of 2 done · 1 failed" in batchrun("watch", home(job) / "2026-11-02T0300Z", "--once").output
    assert " 2/2 " in batchrun("runs", job.parent).output


def test_the_first_rows_of_a_slot_are_not_all_of_it(job: Path) -> None:
    assert batchrun("run", job, "--slot", "2026-11-02", "--limit", "1", *FAST).exit_code == 0
    (line,) = batchrun("tick", job, *FAST).output.splitlines()
    assert "1 of 2 rows succeeded, 1 in flight" in line


def test_a_job_without_a_schedule_has_no_slots(job: Path) -> None:
    edit(job, schedule=None)
    for command in ("run", "tick", "status", "plan", "validate"):
        done = batchrun(command, job, "--slot", "2026-11-02")
        assert (done.exit_code, "the job has no `schedule`" in done.output) == (65, True)


def test_a_tick_tells_programs_of_every_slot(job: Path) -> None:
    batchrun("run", job, "--slot", "2026-11-02", "--limit", "1", *FAST)
    (slot,) = json.loads(batchrun("tick", job, *FAST, "--json").output)["slots"]
    assert (slot["slot"], slot["state"], slot["exit_code"], slot["run"]["rows"]) == ("2026-11-02T0300Z", "begun", 0, 2)
    assert json.loads(batchrun("tick", job, *FAST, "--json", "--slot", "2026-11-02").output)["rows"] == 2


def test_what_became_of_each_slot_is_told(job: Path) -> None:
    assert "No slot was decided about yet" in batchrun("schedule", "slots", job, "--emulator").output
    batchrun("run", job, "--slot", "2026-11-02", *FAST)
    batchrun("run", job, "--slot", "2026-11-03", "--limit", "1", *FAST)
    first, second = batchrun("schedule", "slots", job, "--emulator").output.splitlines()
    assert first.startswith("2026-11-02T0300Z  done, begun 20")
    assert second.endswith("UTC: only the first rows were run")
    (told,) = json.loads(batchrun("schedule", "slots", job, "--emulator", "--last", "1", "--json").output)
    assert (told["name"], told["state"], told["over_at"]) == ("2026-11-03T0300Z", "begun", None)


def test_paid_slots_and_rehearsed_ones_have_records_apart(job: Path) -> None:
    batchrun("run", job, *FAST)
    assert batchrun("tick", job).exit_code == 0
    with Record(job.parent / "runs" / "nightly") as paid:
        assert paid.entries() == []


# -- as cron does it ---------------------------------------------------------------------------------------------------


def under_cron(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """With next to no environment, no terminal, nothing on standard input, from another directory."""
    bare = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "batchrun", *map(str, words)]
    return subprocess.run(
        command, env=bare, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def test_a_run_under_cron_is_quiet_brief_or_tells_all(job: Path) -> None:
    quiet = under_cron("run", job, "--slot", "2026-11-02", *FAST, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    brief = under_cron("run", job, "--slot", "2026-11-03", *FAST, "--brief")
    assert (brief.stdout, brief.stderr) == ("2026-11-03T0300Z nightly: 2 of 2 rows succeeded, 2 POSTs now\n", "")
    edit(job, request={**SPEC["request"], "input": "{{ nothing }}"})
    wrong = under_cron("run", job, "--slot", "2026-11-04", *FAST, "--quiet", "--brief")
    assert (wrong.returncode, wrong.stdout) == (
        3,
        "2026-11-04T0300Z nightly: 0 of 2 rows succeeded, 2 failed, 0 POSTs now"
        f"; see {job.parent}/runs/nightly.emulated/2026-11-04T0300Z/failed.jsonl\n",
    )


def test_a_quiet_tick_says_nothing_of_a_slot_that_another_process_runs(job: Path) -> None:
    edit(job, schedule={"cron": "* * * * *"})
    words = ("tick", job, "--emulator", "--latency", "1h")
    batchrun(*words)
    (slot,) = (job.parent / "runs" / "nightly.emulated").glob("*Z")
    with closing(RunLock(slot)):
        told = [batchrun(*words, *more) for more in (("--quiet",), ("--quiet", "--slot", slot.name), ())]
    assert [each.exit_code for each in told] == [75, 75, 75]
    assert (told[0].output, told[1].output) == ("", "")
    assert f"{slot.name} begun: {slot}: this run is already going on" in told[2].stdout


def test_without_a_key_a_tick_under_cron_says_so_and_the_slot_stays_to_be_done(job: Path) -> None:
    edit(job, schedule={"cron": "* * * * *"})
    done = under_cron("tick", job, "--quiet")
    assert done.returncode == 77
    assert "No API key: set GEMINI_API_KEY" in done.stdout
    assert "GEMINI_API_KEY_FILE to the path of a file with it" in done.stdout
    with Record(job.parent / "runs" / "nightly") as record:
        assert [str(entry.state) for entry in record.open()] == ["begun"]


@pytest.mark.parametrize(("zone", "told"), [("Europe/Berlin", True), ("UTC", False)])
def test_the_next_change_of_the_clock_is_shown_however_far_it_is(job: Path, zone: str, told: bool) -> None:
    edit(job, schedule={"cron": "30 2 * * *", "timezone": zone, "jitter": "30d"})
    shown = batchrun("schedule", "show", job, "--next", "1").stdout
    assert ("(the clock goes " in shown) is told
    assert re.search(r", (\d+s|\d+m \d\ds|\d+h \d\dm) later by jitter", shown.splitlines()[1])


def test_the_directory_of_all_slots_is_no_run_to_watch(job: Path) -> None:
    batchrun("run", job, "--slot", "2026-11-02", "--limit", "1", *FAST)
    refused = batchrun("watch", home(job), "--once")
    slot = home(job) / "2026-11-02T0300Z"
    assert (refused.exit_code, f"Name one that is below it: {slot}; or the job file" in refused.output) == (65, True)
    assert "ended · 1 of 1 done" in batchrun("watch", slot, "--once").output
