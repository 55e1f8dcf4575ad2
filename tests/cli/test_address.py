"""An address that was meant to be named, and is empty, never becomes that of the real service."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from batchrun.cli import commands
from batchrun.errors import Exit
from tests.processes import write_job

SENDING = ("run", "tick", "try", "cancel", "resolve", "purge", "download")


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_job(tmp_path, rows=1)
    return tmp_path / "job.json"


@pytest.mark.parametrize("name", SENDING)
def test_an_empty_address_is_refused(job: Path, name: str) -> None:
    result = CliRunner().invoke(commands, [name, str(job), "--base-url", ""])
    assert result.exit_code == Exit.USAGE
    assert "it is empty" in result.output


def test_an_empty_variable_for_it_is_refused_too(job: Path) -> None:
    result = CliRunner().invoke(
        commands, ["run", str(job)], auto_envvar_prefix="BATCHRUN", env={"BATCHRUN_RUN_BASE_URL": ""}
    )
    assert result.exit_code == Exit.USAGE
    assert "BATCHRUN_RUN_BASE_URL is empty" in result.output
