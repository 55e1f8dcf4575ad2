"""The examples of docs/pipelines.md run as they are written, with the rows and the transforms of the page."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from tests.test_docs import batchrun, blocks

PAGE = "docs/pipelines.md"
WHOLE, *PARTS = blocks(PAGE, "yaml")


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """A directory with the files that the page tells to save."""
    [module], [rows] = blocks(PAGE, "python"), blocks(PAGE, "json")
    (tmp_path / "reviews.yaml").write_text(WHOLE)
    (tmp_path / "review_steps.py").write_text(module)
    (tmp_path / "reviews.jsonl").write_text(rows)
    return tmp_path


def test_the_commands_of_the_page_run_as_written(reader: Path) -> None:
    for line in blocks(PAGE, "sh")[0].splitlines():
        done = batchrun(reader, *line.split()[1:])
        assert done.exit_code == 0, f"{line}\n{done.output}"
    shown = json.loads(done.stdout)
    assert (shown["key"], shown["outcome"]) == ("summary:desk", "succeeded")


@pytest.mark.parametrize("part", PARTS, ids=lambda part: "-".join(YAML(typ="safe").load(part)["stages"]))
def test_every_example_runs_and_no_row_of_it_fails(reader: Path, part: str) -> None:
    (reader / "job.yaml").write_text(f"name: job\ninput: {{path: reviews.jsonl, key: id}}\n{part}")
    checked = batchrun(reader, "run", "job.yaml", "--emulator", "--latency", "0ms", "--json")
    told = json.loads(checked.stdout)
    assert (checked.exit_code, told["failed"], told["rows"]) == (0, 0, told["succeeded"] + told["skipped"])
    for stage in YAML(typ="safe").load(part)["stages"]:
        assert pq.read_table(reader / f"runs/job.emulated/stages/{stage}/results.parquet").num_rows


def test_the_plan_after_an_edit_is_the_one_of_the_page(reader: Path) -> None:
    assert batchrun(reader, "run", "reviews.yaml", "--emulator", "--latency", "0ms", "--quiet").exit_code == 0
    edited = WHOLE.replace("Sum up what", "Sum up in one sentence what")
    (reader / "reviews.yaml").write_text(edited)
    told = batchrun(reader, "plan", "reviews.yaml", "--emulator")
    [shown] = blocks(PAGE, "text")
    assert edited != WHOLE
    assert [line for line in shown.splitlines() if line.strip() != "…" and line not in told.stdout.splitlines()] == []
