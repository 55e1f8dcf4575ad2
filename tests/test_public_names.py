"""The public API is a list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import batchrun


def test_the_public_names_are_these() -> None:
    assert batchrun.__all__ == [
        "BatchrunError", "Emulator", "EmulatorSettings", "Exit", "Job", "JobSpec", "Options", "Result", "RowError",
        "RunError", "SpecError", "Summary", "__version__", "load_job", "run",
    ]  # fmt: skip


@pytest.mark.parametrize("name", batchrun.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(batchrun, name) is not None
    assert name in batchrun._HOMES


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        batchrun.nonsense  # noqa: B018


def test_a_program_can_run_a_job(tmp_path: Path) -> None:
    spec = {
        "name": "api",
        "input": {"path": "rows.jsonl"},
        "request": {"model": "gemini-3.5-flash", "input": "Say {{ word }}"},
        "poll": {"first": 0},
    }
    (tmp_path / "job.json").write_text(json.dumps(spec))
    (tmp_path / "rows.jsonl").write_text('{"word": "hello"}\n')
    options = batchrun.Options(emulator=batchrun.EmulatorSettings())
    result = batchrun.run(batchrun.load_job(tmp_path / "job.json"), options)
    assert result.exit_code is batchrun.Exit.OK
    assert result.summary.succeeded == 1
