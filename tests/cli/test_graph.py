"""`batchrun graph`: on jobs as users write them, and on runs of them on the emulator."""

from __future__ import annotations

import json
import signal
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from batchrun.cli import commands
from batchrun.engine.events import Event, RowEnded
from batchrun.store.reader import Reader
from batchrun.store.tally import stage_tallies
from tests.rehearsal import Rehearsal

STEPS = """\
def split(row):
    return [{"page": page} for page in range(int(row["id"][1:]) % 3)]

def check(row):
    if row["stages"]["split"]["output"]["page"] == 1:
        raise ValueError("page 1 cannot be checked")
    return {"checked": True}

def total(rows):
    return {"rows": sum(1 for _ in rows)}
"""
ASK = {"model": "gemini-3.5-flash", "input": "Read {{ question }}"}
STAGES: dict[str, Any] = {
    "split": {"transform": "steps:split", "explode": True},
    "read": {"needs": "split", "request": ASK},
    "first": {"needs": "read", "when": "stages.split.output.page == 0", "request": ASK},
    "check": {"needs": "read", "transform": "steps:check"},
    "both": {"needs": ["first", "check"], "request": ASK},
    "total": {"needs": "both", "batch": {"failed": "leave_out"}, "transform": "steps:total"},
}


def pipeline(where: Path, rows: int = 6, stages: dict[str, Any] = STAGES) -> Rehearsal:
    job = Rehearsal(where, rows=rows)
    del job.spec["request"]
    job.spec["stages"] = stages
    (where / "steps.py").write_text(STEPS)
    return job


def graph(job: Rehearsal, *options: str, code: int = 0, **given: Any) -> Result:
    result = CliRunner().invoke(commands, ["graph", str(job.write()), *options], **given)
    assert result.exit_code == code, result.output
    return result


def drawn(job: Rehearsal) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(graph(job, "--json").stdout)
    return document


def counts(job: Rehearsal) -> dict[str, dict[str, int]]:
    return {stage["name"]: stage["counts"] for stage in drawn(job)["stages"]}


def test_each_stage_is_shown_with_how_its_rows_ended(tmp_path: Path) -> None:
    job = pipeline(tmp_path)
    job.run()
    assert counts(job) == {
        "split": {"succeeded": 6},  # into 0, 1, 2, 0, 1 and 2 pages
        "read": {"succeeded": 6},
        "first": {"succeeded": 4, "skipped": 2},
        "check": {"succeeded": 4, "failed": 2},
        "both": {"succeeded": 4, "skipped": 2},
        "total": {"succeeded": 1},
    }
    shown = graph(job).stdout
    assert "4 succeeded, 2 failed" in shown
    assert f"run directory: {job.directory}" in shown


def test_rows_that_wait_and_rows_in_flight_are_told_apart_and_every_row_is_counted_once(tmp_path: Path) -> None:
    ended = []

    def stop(event: Event) -> None:
        if isinstance(event, RowEnded) and event.key.startswith("read:"):
            ended.append(event.key)
            if len(ended) == 5:
                signal.raise_signal(signal.SIGINT)

    job = pipeline(tmp_path, rows=60)
    job.spec["limits"] = {"posts": 2, "rpm": 30, "in_flight": 8}
    job.run(observe=stop)
    with closing(Reader(job.directory / "run.db")) as reader:
        found = reader.connection.execute("SELECT stage, count(*) FROM row WHERE seen != 0 GROUP BY 1").fetchall()
        tallies = stage_tallies(reader)
        assert sum(each.get("in_flight", 0) for each in tallies.values()) == reader.count_in_flight() > 0
    assert {stage: sum(each.values()) for stage, each in tallies.items()} == dict(found)
    assert tallies["split"]["pending"] > 0, tallies
    assert {name: each for name, each in counts(job).items() if each} == tallies
    assert "no rows yet" in graph(job).stdout


def test_rows_that_left_the_input_are_in_no_count(tmp_path: Path) -> None:
    job = pipeline(tmp_path)
    job.run()
    job.rows = job.rows[:2]
    job.run(accept_change=True)
    assert drawn(job)["input"]["rows"] == 2
    assert counts(job)["read"] == {"succeeded": 1}


@pytest.mark.parametrize("batch", [{"by": "question"}, {}])
def test_the_input_has_its_rows_counted_also_where_a_batch_takes_them(tmp_path: Path, batch: dict[str, Any]) -> None:
    job = pipeline(tmp_path, 4, {"total": {"batch": batch, "transform": "steps:total"}})
    job.run()
    assert drawn(job)["input"]["rows"] == 4
    assert counts(job) == {"total": {"succeeded": 4 if batch else 1}}
    assert "4 rows" in graph(job).stdout


def test_a_job_of_one_request_is_drawn_as_input_and_request(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3)
    assert graph(job, env={"COLUMNS": "80"}).stdout == (
        "○ input     path: rows.jsonl\n│\n● request   model: gemini-3.5-flash\n\nnot run yet\n"
    )
    job.run()
    assert counts(job) == {"request": {"succeeded": 3}}
    assert drawn(job)["input"]["rows"] == 3


def test_before_a_run_there_are_no_counts(tmp_path: Path) -> None:
    job = pipeline(tmp_path)
    found = drawn(job)
    assert [stage["counts"] for stage in found["stages"]] == [None] * 6
    assert (found["input"]["rows"], found["run_directory"]) == (None, None)
    assert "not run yet" in graph(job).stdout
    assert "succeeded" not in graph(job).stdout


def test_a_run_that_was_asked_for_has_to_be_there_and_to_be_of_this_job(tmp_path: Path) -> None:
    job = pipeline(tmp_path)
    assert "nothing has been run here" in graph(job, "--run-dir", str(tmp_path / "none"), code=65).stderr
    job.run()
    said = graph(job, "--set", "name=other", "--run-dir", str(job.directory), code=65).stderr
    assert "belongs to another job ('sums')" in said


def test_rows_of_a_stage_that_the_job_no_longer_has_are_told(tmp_path: Path) -> None:
    job = pipeline(tmp_path)
    job.run()
    del job.spec["stages"]["total"]
    said = graph(job)
    assert "1 row of the stage 'total', which the job no longer has" in said.stderr
    assert "total" not in said.stdout


@pytest.mark.parametrize(
    ("name", "begin"), [("a.txt", "○ input"), ("a.mmd", "flowchart TD\n"), ("a.SVG", "<svg xmlns=")]
)
def test_the_form_follows_the_name_of_the_file(tmp_path: Path, name: str, begin: str) -> None:
    path = tmp_path / name
    assert graph(pipeline(tmp_path), "--output", str(path)).stdout == f"wrote {path}\n"
    assert path.read_text(encoding="utf-8").startswith(begin)


def test_a_form_that_is_asked_for_is_written_whatever_the_name(tmp_path: Path) -> None:
    job, path = pipeline(tmp_path), tmp_path / "drawing"
    graph(job, "--output", str(path), "--format", "svg")
    assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert path.read_text() == graph(job, "--format", "svg").stdout


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--output", "a.png"], 2, "ends in none of .txt, .mmd, .svg"),
        (["--json", "--format", "svg"], 2, "--json is a form of its own"),
        (["--output", "none/a.svg"], 74, "No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_said(tmp_path: Path, options: list[str], code: int, said: str) -> None:
    assert said in graph(pipeline(tmp_path), *options, code=code).stderr


def test_a_terminal_without_box_characters_gets_plain_ones(tmp_path: Path) -> None:
    job = pipeline(tmp_path)
    job.spec["input"]["where"] = "question != '漢字 \\u202e'"
    result = CliRunner(charset="latin-1").invoke(commands, ["graph", str(job.write())])
    assert result.exit_code == 0, result.output
    assert result.stdout_bytes.isascii()
    assert b"+-." in result.stdout_bytes
    assert b"where: question != '\\u6f22\\u5b57 \\u202e'" in result.stdout_bytes
