"""The line for cron in docs/recipes.md that mails problems only, as cron's shell runs it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from batchrun.store.lock import RunLock
from tests.processes import write_job

_DOCS = Path(__file__).parents[2] / "docs" / "recipes.md"


def mailed(where: Path, *options: str) -> str:
    """What the line says, without a terminal and with cron's environment."""
    (line,) = (each.strip() for each in _DOCS.read_text().splitlines() if "said=$(" in each)
    command = line.removeprefix("*/15 * * * * ")
    program = shlex.join([sys.executable, "-m", "batchrun"])
    job = shlex.join([str(where / "job.json"), "--emulator", "--latency", "0s", *options])
    for name, here in {"/srv/venv/bin/batchrun": program, "/srv/jobs/inbox.yaml": job}.items():
        assert name in command
        command = command.replace(name, here)
    assert "%" not in command  # cron takes it for the end of a line
    env = {"PATH": "/usr/bin:/bin", "HOME": str(where), "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd="/",
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout + done.stderr


def test_rows_that_failed_are_mailed_success_and_another_run_are_not(tmp_path: Path) -> None:
    write_job(tmp_path, 2)
    assert mailed(tmp_path) == ""
    fails = ("--set", "name=other", "--faults", "failed")
    assert "2 failed" in mailed(tmp_path, *fails)
    assert "2 failed" in mailed(tmp_path, *fails)
    lock = RunLock(tmp_path / "runs" / "other.emulated")
    assert mailed(tmp_path, *fails) == ""
    lock.close()
