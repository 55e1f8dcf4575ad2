"""The daemon as a process, with children as processes: signals, kills, the API key, and the dead of process 1."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from batchrun.clock import wall_clock
from batchrun.reports.inventory import found_in
from batchrun.runs.directory import RunDir
from batchrun.schedule.deciding import decided
from batchrun.schedule.record import Record
from batchrun.spec.scheduling import ScheduleSpec
from batchrun.store.lock import running
from tests.processes import COMMAND, command, emulator, finish, ledger, start, until
from tests.reliability.canary import Canary, a_key

ROOT = Path(__file__).parents[2]
NIGHTLY = {"cron": "* * * * *", "overlap": "queue"}
REAP = """
import os, time
from contextlib import suppress
from ctypes import CDLL
from batchrun.daemon.children import Launcher
CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans are ours, as they are process 1's
launcher = Launcher("nothing", {}, 1)
if not (child := os.fork()):
    if os.fork():
        os._exit(0)
    os._exit(7)
os.waitpid(child, 0)
for _ in range(200):
    launcher.reap()
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        print("none left")
        break
    time.sleep(0.01)
"""


def write(where: Path, **schedule: str) -> Path:
    where.mkdir(exist_ok=True)
    job = {
        "name": "job",
        "schedule": {**NIGHTLY, **schedule},
        "input": {"path": "rows.jsonl", "key": "id"},
        "request": {"model": "gemini-3.5-flash", "input": "Say {{ word }}"},
        "poll": {"first": "100ms", "rpm": None},
    }
    (where / "job.json").write_text(json.dumps(job))
    (where / "rows.jsonl").write_text('{"id": "a", "word": "x"}\n')
    return where


def begin(where: Path, name: str) -> None:
    """Have a slot of this job open, whatever the time is."""
    home = where / "runs" / "job"
    home.mkdir(parents=True, exist_ok=True)
    with Record(home) as record:
        record.begin(name, 1.0)


def children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children()


@pytest.mark.parametrize("variable", ["GEMINI_API_KEY", "GEMINI_API_KEY_FILE"])
def test_a_daemon_stops_its_children_hides_its_key_and_has_its_directory_for_itself(
    tmp_path: Path, variable: str
) -> None:
    where, key = write(tmp_path / "jobs"), a_key()
    begin(where, "2026-01-01T0000Z")
    (tmp_path / "key").write_text(key)
    named = str(tmp_path / "key") if variable.endswith("_FILE") else key
    env = {name: value for name, value in os.environ.items() if not name.startswith("GEMINI_")} | {variable: named}
    with emulator(tmp_path, "--latency", "30s", "--bad-key", "none") as url:
        daemon = start(where, "schedule", "run", ".", "--base-url", url, env=env)
        until(lambda: ledger(tmp_path))
        (child,) = children(daemon.pid)
        found = Canary(key)
        seen = json.dumps([child.cmdline(), child.environ(), psutil.Process(daemon.pid).cmdline()])
        code, _, err = command(where, "schedule", "run", ".", "--emulator")
        healthy = command(where, "schedule", "health", ".")
        daemon.send_signal(signal.SIGTERM)
        ended, out, errors = finish(daemon, 30)
    assert not found(seen.encode())
    assert not any(found(path.read_bytes()) for path in where.rglob("*") if path.is_file())
    assert not found((out + errors).encode())
    assert (code, f"process {daemon.pid} on" in err) == (75, True)
    assert healthy == (0, "", "")
    assert (ended, child.is_running()) == (0, False)
    assert "1 run may take 60 s to stop" in out
    assert [line["status"] for line in ledger(tmp_path)][:1] == [200]
    assert command(where, "schedule", "health", ".")[0] == 1
    code, _, err = command(where, "schedule", "health", "elsewhere")
    assert (code, "'elsewhere' does not exist" in err) == (2, True)


def test_a_child_that_dies_is_replaced_and_one_whose_daemon_dies_stops(tmp_path: Path) -> None:
    where = write(tmp_path / "jobs", cron="0 0 1 1 *")
    begin(where, "2026-01-01T0000Z")
    with emulator(tmp_path, "--latency", "20s") as url:
        daemon = start(where, "schedule", "run", ".", "--base-url", url)
        until(lambda: ledger(tmp_path))
        (first,) = children(daemon.pid)
        first.kill()
        until(lambda: [child for child in children(daemon.pid) if child != first])
        (child,) = children(daemon.pid)
        until(lambda: running(where / "runs" / "job" / "2026-01-01T0000Z"))
        daemon.kill()
        until(lambda: not child.is_running())
        _, out, errors = finish(daemon)
    assert "its process was ended by signal 9; goes on in 5s" in out
    assert "Traceback" not in errors
    assert len(ledger(tmp_path)) == 1


HANGING = {"command": ["sh", "-c", "echo $$ > ../started.new; mv ../started.new ../started; sleep 100 & wait"]}


def with_alerts(where: Path, **alerts: Any) -> Path:
    """A job whose alerts are told by a command that hangs."""
    job = json.loads((write(where) / "job.json").read_text())
    (where / "job.json").write_text(json.dumps({**job, "alerts": {"to": [HANGING], **alerts}}))
    return where


def alarmed(where: Path) -> int:
    """The command of an alert that hangs now; it leads a process group."""
    until((where.parent / "started").exists)
    return int((where.parent / "started").read_text())


def lives(group: int) -> bool:
    return any(each.status() != psutil.STATUS_ZOMBIE for each in psutil.process_iter() if _group_of(each.pid) == group)


def _group_of(pid: int) -> int | None:
    with suppress(ProcessLookupError):
        return os.getpgid(pid)
    return None


def test_a_second_signal_leaves_no_command_of_an_alert_behind(tmp_path: Path) -> None:
    where = with_alerts(tmp_path / "jobs")
    home = where / "runs" / "job"
    home.mkdir(parents=True)
    with Record(home) as record:  # the slots since then were missed
        schedule = ScheduleSpec(cron="* * * * *", catch_up="none")
        assert list(decided(schedule, "job", record, wall_clock() - 600, timedelta(minutes=2)))
    with emulator(tmp_path, "--latency", "1h") as url:
        daemon = start(where, "schedule", "run", ".", "--base-url", url, "--set", "schedule.catch_up=none")
        command = alarmed(where)
        assert lives(command)
        daemon.send_signal(signal.SIGTERM)
        daemon.send_signal(signal.SIGINT)
        assert finish(daemon, 30)[0] in (130, 143)
        assert not lives(command)


def test_a_run_that_does_not_stop_in_time_leaves_no_command_of_an_alert_behind(tmp_path: Path) -> None:
    where, slot = with_alerts(tmp_path / "jobs", tokens=1, missed_slot=False), "2026-01-01T0000Z"
    (where / "rows.jsonl").write_text('{"id": "a", "word": "x"}\n{"id": "b", "word": "y"}\n')
    begin(where, slot)
    with emulator(tmp_path, "--latency", "0s") as url:
        words = ["--base-url", url, "--grace", "2s", "--set", "limits.rpm=1", "--set", "schedule.cron=0 0 1 1 *"]
        daemon = start(where, "schedule", "run", ".", *words)
        until(lambda: found_in(RunDir(where / "runs" / "job" / slot)).done == 1)
        daemon.send_signal(signal.SIGTERM)
        command = alarmed(where)
        assert finish(daemon, 30)[0] == 143
        assert not lives(command)


def test_a_run_that_is_told_to_stop_while_an_alert_hangs_ends_with_it(tmp_path: Path) -> None:
    where = with_alerts(tmp_path / "jobs", tokens=1, missed_slot=False)
    begin(where, "2026-01-01T0000Z")
    with emulator(tmp_path, "--latency", "0s") as url:
        daemon = start(where, "schedule", "run", ".", "--base-url", url)
        command = alarmed(where)
        daemon.send_signal(signal.SIGTERM)
        assert finish(daemon, 30)[0] == 0
        assert not lives(command)


def test_files_that_take_minutes_to_read_keep_no_daemon_from_its_end(tmp_path: Path) -> None:
    for number in range(8):  # more than ten seconds each
        (tmp_path / f"long{number}.yaml").write_text(f"[{'1,' * 500_000}1]")
    daemon = start(tmp_path, "schedule", "run", ".", "--emulator")
    until((tmp_path / "runs" / ".daemon" / "heartbeat.json").exists)
    daemon.send_signal(signal.SIGTERM)
    assert finish(daemon, 20)[0] == 0


def test_a_file_that_is_no_job_and_a_directory_that_is_not_there_are_told(tmp_path: Path) -> None:
    assert command(tmp_path, "schedule", "run", "nowhere", "--emulator")[0] == 2
    code, _, err = command(tmp_path, "schedule", "run", ".", "--base-url", "https://example.com")
    assert (code, "set GEMINI_API_KEY" in err) == (77, True)


def test_the_orphans_of_others_are_buried() -> None:
    done = subprocess.run([sys.executable, "-c", REAP], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert (done.stdout.strip(), done.stderr) == ("none left", "")


def test_as_process_1_it_heeds_the_first_sigterm(tmp_path: Path) -> None:
    alone = [shutil.which("unshare") or "unshare", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not make a PID namespace")
    where = write(tmp_path / "jobs", cron="0 0 1 1 *")
    words = [*alone, *COMMAND, "schedule", "run", str(where), "--emulator"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        assert "0 0 1 1 *" in process.stdout.readline()
        (first,) = children(process.pid)
        first.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
