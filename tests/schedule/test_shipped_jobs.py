"""The scheduled jobs in `jobs/`, slot after slot, as cron would run them: each slot reads what is new, once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from batchrun.cli import commands
from tests.example_jobs import FAST, FOLDER
from tests.processes import emulator

SAMPLES = FOLDER.parent / "sample_data"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A copy of the jobs, beside sample data that comes in bit by bit."""
    shutil.copytree(FOLDER, tmp_path / "jobs", ignore=shutil.ignore_patterns("runs", "__pycache__"))
    return tmp_path


def comes_in(place: Path, *names: str) -> None:
    for name in names:
        (place / "sample_data" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLES / name, place / "sample_data" / name)


def slot(place: Path, job: str, name: str, *more: str) -> Result:
    words = ["run", str(place / "jobs" / f"{job}.yaml"), "--slot", name, *FAST, *more]
    return CliRunner().invoke(commands, words)


def test_each_night_reads_the_invoices_that_are_new_and_all_nights_are_one_table(place: Path) -> None:
    with emulator(place, "--latency", "0ms") as url:
        more = ["--set", "input.min_age=0", "--base-url", url]
        comes_in(place, "invoices/inv-001.pdf", "invoices/inv-002.pdf")
        first = slot(place, "nightly_inbox", "2026-11-20", *more)
        comes_in(place, "invoices/inv-003.pdf")
        shutil.copy(SAMPLES / "invoices/inv-001.pdf", place / "sample_data/invoices/again.pdf")
        second = slot(place, "nightly_inbox", "2026-11-21", *more)
        third = slot(place, "nightly_inbox", "2026-11-22", *more)
    assert [done.exit_code for done in (first, second, third)] == [0, 0, 0], first.output + second.output
    assert "none that are new" in third.output
    inbox = place / "jobs" / "runs" / "inbox"
    files = [str(path) for path in sorted(inbox.glob("*/results.parquet"))]
    hive = ds.partitioning(flavor="hive")
    table = ds.dataset(files, partitioning=hive, partition_base_dir=str(inbox)).to_table(
        columns=["date", "name", "currency"]
    )
    rows = table.sort_by("name").to_pylist()
    assert [(row["date"], row["name"]) for row in rows] == [
        ("2026-11-20", "inv-001.pdf"),
        ("2026-11-20", "inv-002.pdf"),
        ("2026-11-21", "inv-003.pdf"),
    ]
    assert all(row["currency"] for row in rows)


def test_each_hour_sorts_the_messages_of_the_files_that_are_new(place: Path) -> None:
    service = ["--emulator", "--latency", "0ms"]
    comes_in(place, "feed/2026-11-23T08.jsonl")
    assert slot(place, "hourly_feed", "2026-11-20T0805Z", *service).exit_code == 0
    comes_in(place, "feed/2026-11-23T09.jsonl", "feed/2026-11-23T10.jsonl")
    assert slot(place, "hourly_feed", "2026-11-20T0905Z", *service).exit_code == 0
    runs = place / "jobs" / "runs" / "hourly_feed.emulated"
    found = {path.parent.name: pq.read_table(path).to_pylist() for path in sorted(runs.glob("*/results.parquet"))}
    assert [[row["key"] for row in rows] for rows in found.values()] == [
        ["m-0801", "m-0802", "m-0803"],
        ["m-0901", "m-0902", "m-1001"],
    ]
    assert all(row["topic"] for rows in found.values() for row in rows)


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_who_looks_at_files_that_have_just_come_in_is_told_why_there_are_no_rows(place: Path, command: str) -> None:
    comes_in(place, "invoices/inv-001.pdf", "invoices/inv-002.pdf")
    done = CliRunner().invoke(commands, [command, str(place / "jobs" / "nightly_inbox.yaml")])
    assert done.exit_code == 0
    assert "2 files younger than `min_age`: left for the next slot" in done.output
