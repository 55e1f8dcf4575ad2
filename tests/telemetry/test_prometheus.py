"""The file for node-exporter's textfile collector, read back by Prometheus' own parser."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from batchrun.errors import Exit, LockedError, Stopped
from batchrun.runs.options import Options
from batchrun.runs.run import run
from batchrun.spec.load import load_job
from batchrun.telemetry.figures import BOUNDS, Figures
from batchrun.telemetry.prometheus import METRICS, MetricsFile, text_of
from tests.pipelines.piped import Piped, ask
from tests.processes import command, write_job
from tests.rehearsal import Rehearsal

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """Every sample by its name and its labels but `job`."""
    return {
        (each.name, tuple(sorted((k, v) for k, v in each.labels.items() if k != "job"))): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


@pytest.fixture
def told() -> list[str]:
    return []


def process(job: Rehearsal, told: list[str], error: Any = None, **options: Any) -> Samples:
    """What the file says after a process of the job, whose run ends, or fails with an `error`."""
    path = job.where / "job.prom"
    metrics = MetricsFile(path, job.directory / "run.db", "sums", job.clock.wall, told.append)
    if error is None:
        settings = job.settings(**{"latency": "20s", **options.pop("emulator", {})})
        choice = Options(emulator=settings, seed=1, **options)
        run(load_job(job.write()), choice, job.clock.wall, metrics, job.clock.run)
    else:
        metrics.fail(error)
    metrics.close()
    return samples(path.read_text())


def test_the_figures_are_those_of_the_run(tmp_path: Path, told: list[str]) -> None:
    job = Rehearsal(tmp_path, 6)
    found = process(job, told, emulator={"faults": "schema_violation:0.4"})
    outcomes = [each["status"] for each in job.results()]
    usage = job.usage()
    assert {labels[0][1]: count for (name, labels), count in found.items() if name == "batchrun_rows"} == {
        outcome: outcomes.count(outcome) for outcome in set(outcomes)
    }
    assert found["batchrun_posts_total", ()] == len(usage)
    tokens = sum(each["total_input_tokens"] or 0 for each in usage)
    assert found["batchrun_tokens_total", (("kind", "input"),)] == tokens > 0
    assert found["batchrun_interaction_seconds_count", ()] == len(usage)
    assert found["batchrun_interaction_seconds_bucket", (("le", "60.0"),)] == len(usage)
    assert (found["batchrun_running", ()], told) == (0, [])


def test_counts_go_on_from_one_tick_to_the_next(tmp_path: Path, told: list[str]) -> None:
    job = Rehearsal(tmp_path, 4, poll={"deadline": "12h"})
    ticked = {"patient": False, "emulator": {"latency": "6h"}}
    first = process(job, told, **ticked)
    assert (first["batchrun_in_flight", ()], first["batchrun_posts_total", ()]) == (4, 4)
    assert first["batchrun_oldest_in_flight_timestamp_seconds", ()] <= job.clock.wall()
    job.clock.now += 7 * 3600
    second = process(job, told, **ticked)
    assert (second["batchrun_in_flight", ()], second["batchrun_posts_total", ()]) == (0, 4)
    assert second["batchrun_interaction_seconds_bucket", (("le", "43200.0"),)] == 4


def test_the_last_success_outlives_a_failure(tmp_path: Path, told: list[str]) -> None:
    job = Rehearsal(tmp_path, 1)
    good = process(job, told)
    job.clock.now += 60
    bad = process(job, told, error=Stopped("Stopped.", 2))
    name = "batchrun_last_success_timestamp_seconds"
    assert (good["batchrun_last_exit_code", ()], bad["batchrun_last_exit_code", ()]) == (0, Exit.SIGINT)
    assert (bad[name, ()], bad["batchrun_last_end_timestamp_seconds", ()]) == (good[name, ()], job.clock.wall())


def test_a_process_that_finds_the_run_going_on_leaves_the_file_to_the_other(tmp_path: Path, told: list[str]) -> None:
    job = Rehearsal(tmp_path, 1)
    good = process(job, told)
    (tmp_path / "job.prom").chmod(0o444)
    assert process(job, told, error=LockedError("busy")) == good


def test_stages_are_told_apart(tmp_path: Path, told: list[str]) -> None:
    job = Piped(tmp_path, {"a": ask("say {{ word }}"), "b": ask("say {{ a.text }}", needs="a")})
    found = process(job, told, emulator={})
    rows = {dict(labels)["stage"]: count for (name, labels), count in found.items() if name == "batchrun_rows"}
    assert rows == {"a": 4, "b": 4}


def test_everybody_may_read_it_and_nothing_is_left_beside_it(tmp_path: Path, told: list[str]) -> None:
    job = Rehearsal(tmp_path / "job", 1)
    process(job, told)
    assert ((job.where / "job.prom").stat().st_mode & 0o777) == 0o644
    assert [path.name for path in job.where.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb 1", "a} 7", "ü"])
def test_no_name_can_forge_a_metric(name: str) -> None:
    figures = Figures({name: {"pending": 1}}, 1, 1, {}, (0,) * (len(BOUNDS) + 1), 0.0, 0.5, 1.0, 2.0)
    text = text_of(name, figures, dict.fromkeys(METRICS.keys() & {"batchrun_last_exit_code"}, 1.0), running=True)
    families = list(text_string_to_metric_families(text.decode()))
    assert {sample.labels["job"] for family in families for sample in family.samples} == {name}
    assert {family.name for family in families} <= {each.removesuffix("_total") for each in METRICS}


def test_a_place_where_it_cannot_be_written_is_told_once_and_the_run_goes_on(tmp_path: Path) -> None:
    write_job(tmp_path, 2)
    code, _, err = command(tmp_path, "run", "job.json", "--emulator", "--quiet", "--metrics-file", "no/where.prom")
    assert (code, err.count("the metrics 'no/where.prom': "), "Traceback" in err) == (0, 1, False)


def test_the_commands_write_it(tmp_path: Path) -> None:
    write_job(tmp_path, 2)
    code, _, err = command(tmp_path, "tick", "job.json", "--emulator", "--metrics-file", "job.prom")
    assert (code, samples((tmp_path / "job.prom").read_text())["batchrun_posts_total", ()]) == (0, 2), err
    assert command(tmp_path, "tick", "job.json", "--emulator", "--metrics-file", "job.txt")[0] == 2


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_a_pipe_and_a_device_are_replaced_unread(
    make: Callable[[Path], object], tmp_path: Path, told: list[str]
) -> None:
    make(tmp_path / "job.prom")
    found = process(Rehearsal(tmp_path, 2), told)
    assert (found["batchrun_rows", (("outcome", "succeeded"), ("stage", ""))], told) == (2, [])
