"""A run is looked at while it goes on, a tick at its end; both judge from the checkpoint, on virtual time."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batchrun.engine.events import ignore
from batchrun.runs import run as running
from batchrun.runs.alerting import Alerting
from batchrun.runs.directory import run_dir
from batchrun.runs.options import Options
from batchrun.runs.run import Result, run
from batchrun.spec.load import load_job
from tests.rehearsal import Rehearsal


@pytest.fixture(autouse=True)
def _rehearsals_speak_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def alerting_of(*arguments: Any, patient: bool, emulated: bool) -> Alerting:
        return Alerting(*arguments, patient=patient)

    monkeypatch.setattr(running, "alerting_of", alerting_of)


def job_of(where: Path, rows: int = 10, **sections: Any) -> Rehearsal:
    alerts = {"to": [{"command": ["sh", "-c", "cat >> told; echo >> told"]}], **sections.pop("alerts", {})}
    return Rehearsal(where, rows, alerts=alerts, **sections)


def live(job: Rehearsal, *, patient: bool, **emulator: Any) -> Result:
    options = Options(emulator=job.settings(**emulator), seed=1, patient=patient)
    return run(load_job(job.write()), options, job.clock.wall, run_async=job.clock.run)


def told(job: Rehearsal) -> list[str]:
    path = job.where / "told"
    lines = map(json.loads, path.read_text().splitlines() if path.exists() else ())
    return [f"{line['rule']} {line['state']}" for line in lines]


def test_ticks_tell_once_that_nothing_comes_and_once_that_it_does_again(tmp_path: Path) -> None:
    job = job_of(tmp_path, poll={"deadline": "48h"})
    for _ in range(3):  # each collects what the one before has submitted: nobody is told
        live(job, patient=False, latency="20m")
        job.clock.now += 3600
        job.rows += [{"id": f"n{len(job.rows) + n}", "question": "?"} for n in range(10)]
    assert told(job) == []
    live(job, patient=False, faults="stuck:1.0")
    for _ in range(5):
        job.clock.now += 3600
        live(job, patient=False)
    assert told(job) == ["stuck begun"]
    job.rows.append({"id": "one more", "question": "?"})
    live(job, patient=False, latency="0s")
    job.clock.now += 60
    live(job, patient=False)
    assert told(job) == ["stuck begun", "stuck ended"]


def test_a_job_that_was_left_alone_for_days_is_not_called_stuck_when_it_goes_on(tmp_path: Path) -> None:
    job = job_of(tmp_path, poll={"deadline": "240h"})
    live(job, patient=False, latency="20m")
    job.clock.now += 5 * 86400
    live(job, patient=True)
    assert told(job) == []


def test_failures_are_told_when_a_run_ends(tmp_path: Path) -> None:
    job = job_of(tmp_path, 30, alerts={"failure_rate": "20%"})
    assert live(job, patient=True, faults="failed:0.5").summary.failed > 6
    assert told(job) == ["failure_rate begun"]


def test_tokens_that_no_interaction_can_have_are_no_cause_for_an_alert(tmp_path: Path) -> None:
    job = job_of(tmp_path, 1, alerts={"tokens": 1_000_000})
    live(job, patient=True)
    with closing(sqlite3.connect(job.directory / "run.db", isolation_level=None)) as db:
        db.execute("""UPDATE attempt SET usage = '{"total_tokens": "9e999"}'""")
    loaded = load_job(job.write())
    asyncio.run(Alerting(loaded, run_dir(loaded, None, emulated=True), job.clock.wall, ignore).look())
    assert told(job) == []


def test_a_run_ends_as_it_would_and_tells_although_what_was_told_cannot_be_kept(tmp_path: Path) -> None:
    job = job_of(tmp_path, rows=2, alerts={"tokens": 1})
    (job.directory / "alerts.json").mkdir(parents=True)
    assert live(job, patient=True).exit_code == 0
    assert told(job) == ["tokens begun"]
