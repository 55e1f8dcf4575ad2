"""The table of failures names tests and files that exist; and two of its rows are shown here."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchrun.cli import commands
from tests.processes import finish, start, write_job

ROOT = Path(__file__).parent.parent
TABLE = (ROOT / "design/failures.md").read_text(encoding="utf-8")
#: A title of the terminal, a colour, C1, right to left, zero width, an isolate, a mark, a hyphen, line ends.
HOSTILE = "\x1b]0;title\x07\x1b[31mred\x9b31m\u202eback\u200b\u2066\ufeff\u00ad\x7f\u2028\u0085"


def test_every_failure_has_its_line() -> None:
    numbers = [f"F{n:02}" for n in range(1, 65)] + [f"C{n}" for n in range(1, 20)]
    assert re.findall(r"^\| ([FC]\d+) \|", TABLE, flags=re.MULTILINE) == numbers


def test_every_line_names_a_test_or_says_that_it_has_none() -> None:
    lines = [line for line in TABLE.splitlines() if re.match(r"\| [FC]\d+ \|", line)]
    assert [
        line for line in lines if "::test_" not in line and not re.search(r"\| (not built|none) yet[^|]*\|$", line)
    ] == []


def test_every_test_and_file_in_the_table_exists() -> None:
    named = re.findall(r"`(\S+)::(\w+)`", TABLE)
    assert len(named) > 100
    assert [
        f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / "tests" / file).read_text()
    ] == []
    code = re.findall(r"`([\w/]+\.py)`", TABLE)
    assert [file for file in code if not (ROOT / "batchrun" / file).exists()] == ["tests/test_failures.py"]


def test_a_run_needs_no_environment_no_terminal_and_no_directory(tmp_path: Path) -> None:
    write_job(tmp_path, 2)
    environment = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ} or {
        "PYTHONPATH": str(ROOT)
    }
    before = os.umask(0)
    try:
        code, out, said = finish(start(Path("/"), "run", str(tmp_path / "job.json"), "--emulator", env=environment))
    finally:
        os.umask(before)
    assert (code, "2 rows: 2 succeeded" in out) == (0, True), said
    assert (tmp_path / "runs/job.emulated/results.parquet").stat().st_mode & 0o777 == 0o600


@pytest.fixture
def hostile_job(tmp_path: Path) -> Path:
    """A job whose rows, keys, columns, files and prompts hold what a terminal would obey."""
    rows = [
        {"id": "r1", "word": HOSTILE, HOSTILE: HOSTILE},
        {"id": HOSTILE, "word": "w"},
        {"id": "\u202er3", "word": HOSTILE},
    ]
    (tmp_path / f"{HOSTILE}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + f"{{{HOSTILE}\n")
    spec = {
        "name": "job",
        "input": {"path": f"{HOSTILE}.jsonl", "key": "id"},
        "request": {"model": "gemini-3.5-flash", "input": f"Say {HOSTILE} {{{{ word }}}}"},
        "poll": {"first": "100ms", "rpm": None},
    }
    (tmp_path / "job.json").write_text(json.dumps(spec))
    (tmp_path / "wrong.json").write_text(json.dumps({**spec, HOSTILE: HOSTILE}))
    return tmp_path


def test_no_command_prints_what_a_job_a_row_or_an_argument_hides(hostile_job: Path) -> None:
    key, job = "\u202er3", str(hostile_job / "job.json")
    for arguments in (
        ["validate", job], ["validate", str(hostile_job / "wrong.json")], ["plan", job, "--show", "4"],
        ["try", job, "--emulator"], ["run", job, "--emulator"], ["status", job], ["show", job, key],
        ["show", job, HOSTILE], ["retry", job, "--emulator", "--key", key], ["resolve", job, HOSTILE, "--lost"],
        ["cancel", job, "--key", HOSTILE], ["approve", job, "--key", HOSTILE], ["download", job, HOSTILE],
        ["verify", job], ["recover", job], ["purge", job, "--yes"], ["export", job], ["files", HOSTILE],
        ["run", job, "--set", f"{HOSTILE}=1"], ["run", job, "--base-url", HOSTILE], ["run", f"{job}{HOSTILE}"],
    ):  # fmt: skip
        said = CliRunner().invoke(commands, arguments).output
        seen = {c for c in said if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
        assert (arguments[0], seen, said != "") == (arguments[0], set(), True)
