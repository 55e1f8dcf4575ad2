"""`cost` says what a run has cost, by stage and model."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from batchrun.cli import commands
from batchrun.runs.costs import spent_of
from batchrun.store.reader import Reader
from tests.pipelines.piped import Piped, ask
from tests.rehearsal import Rehearsal


def test_each_stage_and_model_has_its_line(tmp_path: Path) -> None:
    other = ask("say {{ stages.first.output }}", needs="first", request={"model": "gemini-3.1-pro-preview"})
    job = Piped(tmp_path, {"first": ask("say {{ word }}"), "second": other})
    job.run()
    with Reader(job.directory / "run.db") as reader:
        found = list(spent_of(job.load(), reader))
    assert [(spent.stage, spent.model, spent.interactions) for spent in found] == [
        ("first", "gemini-3.5-flash", 4),
        ("second", "gemini-3.1-pro-preview", 4),
    ]
    usage = {row["stage"]: [each for each in job.usage() if each["stage"] == row["stage"]] for row in job.usage()}
    for spent in found:
        assert spent.tokens["input"] == sum(row["total_input_tokens"] for row in usage[spent.stage])
        assert spent.dollars > 0


def test_the_command_tells_tokens_and_dollars_and_what_is_in_no_figure(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 3)
    job.run(faults="reset_after:#2")
    told = CliRunner().invoke(commands, ["cost", str(tmp_path / "job.json"), "--emulator"]).stdout
    assert "gemini-3.5-flash" in told
    assert "would cost: $" in told
    assert "not counted: 1 POST of which nobody can tell" in told
    document = json.loads(
        CliRunner().invoke(commands, ["cost", str(tmp_path / "job.json"), "--emulator", "--json"]).stdout
    )
    (spent,) = document["spent"]
    assert (document["emulated"], spent["interactions"], spent["doubtful"]) == (True, 3, 1)
