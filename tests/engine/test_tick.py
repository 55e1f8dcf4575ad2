"""A tick collects what has finished, submits what is new, and waits for nothing."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from batchrun.cli import commands
from batchrun.errors import Exit
from batchrun.runs.options import Options
from batchrun.runs.run import Result, run
from batchrun.spec.load import load_job
from batchrun.store.lock import RunLock
from tests.pipelines.piped import Piped, ask
from tests.rehearsal import Rehearsal


def tick(job: Rehearsal, *, seconds: float | None = None, **emulator: Any) -> Result:
    settings = job.settings(**{"latency": "6h", **emulator})
    options = Options(emulator=settings, seed=1, patient=False, seconds=seconds)
    return run(load_job(job.write()), options, job.clock.wall, run_async=job.clock.run)


SLOW = {"deadline": "12h"}


def test_a_tick_submits_all_and_ends_long_before_there_are_answers(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 10)
    began = job.clock.wall()
    result = tick(job)
    assert (result.exit_code, result.summary.in_flight, len(job.accepted())) == (Exit.OK, 10, 10)
    assert job.clock.wall() - began < 60


def test_the_next_tick_collects_what_has_finished_and_submits_what_is_new(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 10, poll=SLOW)
    tick(job)
    job.clock.now += 3600
    assert tick(job).summary.succeeded == 0
    job.rows.append({"id": "late", "question": "What is new?"})
    job.clock.now += 6 * 3600
    result = tick(job)
    assert (result.exit_code, result.summary.succeeded, result.summary.in_flight) == (Exit.OK, 10, 1)
    assert len(job.accepted()) == 11


def test_no_more_are_in_flight_than_the_job_says(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 10, limits={"in_flight": 4}, poll=SLOW)
    assert [tick(job).summary.in_flight, tick(job).summary.in_flight] == [4, 4]
    job.clock.now += 7 * 3600
    result = tick(job)
    assert (result.summary.succeeded, result.summary.in_flight) == (4, 4)


def test_a_tick_stops_sending_when_its_time_is_up(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 100, limits={"rpm": 60, "in_flight": 100, "posts": 1})
    result = tick(job, seconds=10)
    assert result.exit_code == Exit.OK
    assert 8 <= len(job.accepted()) <= 12


def test_rows_of_a_pipeline_go_on_from_tick_to_tick(tmp_path: Path) -> None:
    job = Piped(tmp_path, {"a": ask("say {{ word }}"), "b": ask("say {{ stages.a.output }}", needs="a")}, poll=SLOW)
    tick(job)
    job.clock.now += 7 * 3600
    assert tick(job).summary.stages == {"a": {"succeeded": 4}, "b": {"in_flight": 4}}
    job.clock.now += 7 * 3600
    assert tick(job).summary.succeeded == 8


def test_a_budget_holds_over_ticks(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 20, limits={"max_cost": 0.05, "posts": 1}, poll=SLOW)
    job.spec["request"]["generation_config"] = {"max_output_tokens": 1000}
    first = tick(job)
    assert (first.exit_code, 0 < first.summary.in_flight < 20) == (Exit.TRY_LATER, True)
    job.clock.now += 7 * 3600
    assert tick(job).summary.charged_usd <= 0.05


def test_what_is_late_is_given_up_by_a_tick_as_by_a_run(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 2, poll={"deadline": "1h"})
    tick(job)
    job.clock.now += 2 * 3600
    result = tick(job)
    assert (result.exit_code, result.summary.errors) == (Exit.SOME_ROWS_FAILED, {"timed_out": 2})


def test_what_the_service_has_lost_is_found_out_by_a_tick(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 2)
    tick(job)
    (tmp_path / "emulator.db").unlink()
    job.rows.append({"id": "new", "question": "Is there anybody?"})
    result = tick(job)
    assert result.summary.errors == {"lost": 2}
    assert result.summary.in_flight == 1


def test_the_command_says_in_a_line_how_the_job_stands(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 3)
    path = str(job.write())
    first = CliRunner().invoke(commands, ["tick", path, "--emulator", "--latency", "0s"])
    assert (first.exit_code, first.stdout) == (0, "sums: 0 of 3 rows succeeded, 3 in flight, 3 POSTs now\n")
    second = CliRunner().invoke(commands, ["tick", path, "--emulator", "--latency", "0s", "--max-time", "1h"])
    assert second.stdout == "sums: 3 of 3 rows succeeded, 0 POSTs now\n"
    assert CliRunner().invoke(commands, ["tick", path, "--max-time", "soon"]).exit_code == 2
    idle = CliRunner().invoke(commands, ["tick", path, "--latency", "0s"])
    assert "--latency does nothing without --emulator" in idle.stderr


def test_a_quiet_tick_says_nothing_of_another_process_that_runs_the_job(tmp_path: Path) -> None:
    words = ["tick", str(Rehearsal(tmp_path, 3).write()), "--emulator", "--latency", "0s"]
    CliRunner().invoke(commands, words)
    with closing(RunLock(tmp_path / "runs" / "sums.emulated")):
        quiet, plain = (CliRunner().invoke(commands, [*words, *more]) for more in (["--quiet"], []))
    assert (quiet.exit_code, quiet.output) == (Exit.TRY_LATER, "")
    assert plain.exit_code == Exit.TRY_LATER
    assert "this run is already going on (process" in plain.stderr
