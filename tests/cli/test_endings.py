"""What people are told about rows that were cut off, refused or wait for a plan's approval, and what they can do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from batchrun.cli.ending import report_end, standing_line
from batchrun.cli.options import RunChoice
from batchrun.cli.wording import progress_line
from batchrun.engine.events import Landed, Posted, RowEnded, Started
from batchrun.errors import Exit
from batchrun.outputs.summary import summarize
from batchrun.rows import Finish, Outcome
from batchrun.runs.directory import RunDir
from batchrun.runs.run import Result
from batchrun.store.reader import Reader
from batchrun.store.store import Store
from batchrun.views.meter import Meter

from .test_commands import batchrun, job, rehearse, words


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A finished run of eight rows."""
    monkeypatch.chdir(tmp_path)
    rehearse(job(words(8)))
    return RunDir(tmp_path / "runs" / "job.emulated")


def end(run: RunDir, *outcomes: Outcome, kind: str = "") -> Result:
    """End the first rows once more, as the engine does; how the run then stands."""

    async def finish() -> None:
        for row_id, outcome in enumerate(outcomes, 1):
            await store.finish(row_id, Finish(outcome, kind or str(outcome), "because"), 1_800_000_000.0)

    store = Store(run.checkpoint)
    store.begin_epoch()
    asyncio.run(finish())
    store.close()
    with Reader(run.checkpoint) as reader:
        return Result(summarize(reader), run)


def told(run: RunDir, capsys: pytest.CaptureFixture[str], *outcomes: Outcome, kind: str = "") -> str:
    result = end(run, *outcomes, kind=kind)
    capsys.readouterr()
    report_end(RunChoice(Path("job.json"), emulated=True), result)
    return capsys.readouterr().out


def test_each_kind_of_ending_is_counted_by_name(run: RunDir) -> None:
    end(run, Outcome.INCOMPLETE, Outcome.INCOMPLETE, Outcome.BLOCKED, Outcome.AWAITING_APPROVAL)
    status = batchrun("status", "job.json").stdout
    assert "8 rows: 4 succeeded, 2 incomplete, 1 blocked, 1 awaiting approval" in status
    assert "1 plan of research to approve" in status


def test_one_line_names_the_file_of_what_failed_the_run_of_what_is_held_and_nothing_else(run: RunDir) -> None:
    assert standing_line(end(run)).endswith("POSTs now")
    assert standing_line(end(run, Outcome.AMBIGUOUS)).endswith(f"1 wait for you, 0 POSTs now; see {run.path}")
    batchrun("export", "job.json", "--emulator")
    brief = batchrun("run", "job.json", "--emulator", "--brief", code=Exit.ROWS_HELD).stdout
    assert brief.endswith(f"0 POSTs now; see {run.path}\n")
    end(run, Outcome.FAILED)
    brief = batchrun("run", "job.json", "--emulator", "--brief", code=Exit.SOME_ROWS_FAILED).stdout
    assert (brief.count("\n"), brief.endswith(f"; see {run.path / 'failed.jsonl'}\n")) == (1, True)


def test_a_cut_off_answer_is_not_advised_to_be_asked_for_again(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    said = told(run, capsys, Outcome.INCOMPLETE, Outcome.BLOCKED)
    assert "raise the limit" in said
    assert "refuses again" in said
    assert "batchrun retry" not in said


def test_plans_are_approved_with_a_command_of_their_own(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert "batchrun approve job.json --emulator" in told(run, capsys, Outcome.AWAITING_APPROVAL)


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([Outcome.INCOMPLETE], Exit.SOME_ROWS_FAILED),
        ([Outcome.BLOCKED], Exit.SOME_ROWS_FAILED),
        ([Outcome.AWAITING_APPROVAL], Exit.ROWS_HELD),
        ([Outcome.BLOCKED, Outcome.AWAITING_APPROVAL], Exit.ROWS_HELD),
    ],
)
def test_a_run_with_such_rows_does_not_end_with_zero(run: RunDir, outcomes: list[Outcome], code: Exit) -> None:
    assert end(run, *outcomes).exit_code is code


def test_rows_that_would_end_the_same_way_are_sent_again_only_when_asked_for(run: RunDir) -> None:
    end(run, Outcome.INCOMPLETE, Outcome.BLOCKED, Outcome.AWAITING_APPROVAL)
    said = batchrun("retry", "job.json").stdout
    assert "1 row incomplete: sent again only with --incomplete" in said
    assert "1 row blocked: sent again only with --blocked" in said
    assert "1 row awaiting approval: see `batchrun approve`" in said
    assert "1 row pending again" in batchrun("retry", "job.json", "--incomplete").stdout
    assert "1 row pending again" in batchrun("retry", "job.json", "--blocked").stdout
    assert "Nothing was made pending" in batchrun("retry", "job.json", "--ambiguous").stdout  # a plan is no failure


def test_a_plan_tells_which_rows_it_would_not_send(run: RunDir) -> None:
    end(run, Outcome.INCOMPLETE, Outcome.AWAITING_APPROVAL)
    plan = batchrun("plan", "job.json", "--emulator").stdout
    assert "1  reused: incomplete" in plan
    assert "1  reused: awaiting approval" in plan


def test_answers_that_come_with_their_posts_leave_nothing_in_flight() -> None:
    meter = Meter("job", lambda: 0.0)
    for event in (Started(2, 0), Posted("a", "fetched"), Landed("a", 5), Posted("b", "submitted")):
        meter(event)
    assert meter.view().standing.in_flight == 1


def test_rows_that_wait_for_the_user_are_not_counted_as_failed() -> None:
    meter = Meter("job", lambda: 0.0)
    meter(Started(3, 0))
    for outcome in (Outcome.AWAITING_APPROVAL, Outcome.AMBIGUOUS, Outcome.FAILED):
        meter(RowEnded("a", outcome, "kind", "why"))
    standing = meter.view().standing
    assert (standing.failed, standing.held, standing.done) == (1, 2, 3)
    assert "1 failed · 1 awaiting approval · 1 ambiguous" in progress_line(meter.view())


def test_an_interrupted_function_is_no_doubt_about_money(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    said = told(run, capsys, Outcome.AMBIGUOUS, kind="function_interrupted")
    assert "1 row held: nobody can tell how far a function of yours came" in said
    assert "Run the interrupted functions again with: batchrun retry job.json --emulator --ambiguous" in said
    assert "billed" not in said
