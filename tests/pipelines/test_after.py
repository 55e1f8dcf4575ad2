"""What is done about a pipeline's run beside running it, and what of it is in the tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from batchrun.aftercare import resolution
from batchrun.aftercare.recovery import recover
from batchrun.aftercare.verification import verify
from batchrun.errors import Exit, SpecError
from batchrun.reports.rows import row_documents
from batchrun.runs.directory import RunDir
from batchrun.runs.trial import try_row
from batchrun.spec.load import load_job
from batchrun.store.reader import Reader
from tests.aftercare.visits import cancel_all, leave_in_flight, purge_all
from tests.engine.test_resume import death
from tests.pipelines.piped import Piped, ask

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
CODE = """
def told(row):
    return {"word": row["word"], "length": len(row["stages"]["first"]["output"])}

def several(row):
    return [1, 2]
"""
STAGES = {
    "first": ask("say {{ word }}"),
    "told": {"needs": "first", "transform": "steps:told"},
    "second": ask("say {{ stages.told.output.length }}", needs="told"),
}


def piped(where: Path, **changes: Any) -> Piped:
    return Piped(where, STAGES, code=CODE, **changes)


# -- tables ----------------------------------------------------------------------------------------------------------


def test_each_stage_has_its_table_and_a_transform_a_column_for_each_property(tmp_path: Path) -> None:
    job = piped(tmp_path)
    job.run()
    told = job.table("stages/told/results.parquet")
    assert [(row["key"], row["word"], row["length"]) for row in told] == [(f"r{n}", f"w{n}", 2) for n in range(4)]
    assert {row["text"] for row in job.table("stages/first/results.parquet")} == {f"w{n}" for n in range(4)}
    assert pq.read_schema(job.directory / "stages/told/results.parquet").metadata[b"batchrun.stage"] == b"told"


def test_the_results_are_the_last_stage_joined_with_what_came_before(tmp_path: Path) -> None:
    job = piped(tmp_path, output={"columns": ["group"]})
    job.run()
    (row, *_) = job.results()
    assert len(job.results()) == 4
    assert (row["key"], row["group"], row["first"], row["text"]) == ("r0", "g0", "w0", "2")
    assert json.loads(row["told"]) == {"word": "w0", "length": 2}


def test_another_stage_may_be_the_results(tmp_path: Path) -> None:
    job = piped(tmp_path, output={"stage": "first"})
    job.run()
    assert [(row["key"], row["text"]) for row in job.results()] == [(f"r{n}", f"w{n}") for n in range(4)]


def test_lists_have_one_column_and_items_their_own_keys(tmp_path: Path) -> None:
    stages = {
        "several": {"transform": "steps:several", "explode": True},
        "each": ask("say {{ stages.several.output }}", needs="several"),
    }
    job = Piped(tmp_path, stages, code=CODE, rows=1)
    job.run()
    assert [row["output"] for row in job.table("stages/several/results.parquet")] == ["[1,2]"]
    assert [(row["key"], row["text"]) for row in job.results()] == [("r0/0", "1"), ("r0/1", "2")]


def test_a_row_that_was_skipped_is_in_the_table_with_its_cause(tmp_path: Path) -> None:
    job = piped(tmp_path)
    job.rows[1]["word"] = "failure"
    assert job.run().exit_code == Exit.SOME_ROWS_FAILED
    skipped = job.results()[1]
    assert (skipped["status"], skipped["error_class"]) == ("skipped", "upstream_failed")
    assert skipped["error_message"] == "first:r1 ended as failed (failed)"
    assert (job.directory / "failed.jsonl").read_text() == json.dumps(job.rows[1], separators=(",", ":")) + "\n"


def test_usage_knows_stages(tmp_path: Path) -> None:
    job = piped(tmp_path)
    job.run()
    assert {(row["stage"], row["key"]) for row in job.usage()} == {
        (stage, f"r{n}") for stage in ("first", "second") for n in range(4)
    }


# -- commands --------------------------------------------------------------------------------------------------------


def test_a_key_without_a_stage_means_the_row_in_all_of_them(tmp_path: Path) -> None:
    job = piped(tmp_path)
    job.run()
    with Reader(job.directory / "run.db") as reader:
        every, one = (row_documents(job.load(), reader, key) for key in ("r2", "second:r2"))
        assert isinstance(every, list)
        assert [row["stage"] for row in every] == list(STAGES)
        assert isinstance(one, dict)
        assert (one["stage"], one["input"]["stages"]["told"]["output"]["length"]) == ("second", 2)
        with pytest.raises(SpecError, match="no row has the key 'r9'"):
            row_documents(job.load(), reader, "r9")


def test_the_books_of_a_pipeline_add_up(tmp_path: Path) -> None:
    job = piped(tmp_path)
    job.run()
    found = verify(RunDir(job.directory))
    assert (found.differences, found.rows, found.attempts) == ((), 12, 8)


def test_a_pipeline_is_recovered_from_its_ledger_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    job = piped(tmp_path)
    job.run()
    before, posts = job.outputs("second"), len(job.accepted())
    for name in ("run.db", "run.db-wal", "run.db-shm"):
        (job.directory / name).unlink(missing_ok=True)
    found = recover(job.load(), RunDir(job.directory), job.clock.wall())
    assert (found.submitted, found.later, found.gone) == (8, 4, [])
    assert (job.run().exit_code, job.outputs("second"), len(job.accepted())) == (Exit.OK, before, posts)


def test_one_request_is_tried_and_not_a_pipeline(tmp_path: Path) -> None:
    from batchrun.runs.options import Options

    job = piped(tmp_path)
    with pytest.raises(SpecError, match="this job has stages"):
        try_row(job.load(), Options(emulator=job.settings()), None, RunDir(tmp_path / "tried"))


def test_what_stages_may_go_on_from_is_not_purged_before_they_have(tmp_path: Path) -> None:
    job = Piped(tmp_path, {"first": ask("say one"), "more": ask("say two", needs="first", **{"continue": "first"})})
    job.run(limit=2)
    with pytest.raises(SpecError, match="2 rows are begun"):
        purge_all(job)
    job.run()
    assert purge_all(job).deleted == 8


def test_what_follows_from_a_row_that_is_given_up_is_skipped_and_keeps_no_group_waiting(tmp_path: Path) -> None:
    whole = {"transform": "steps:size", "needs": "first", "batch": {"failed": "leave_out"}}
    stages = {"first": STAGES["first"], "second": ask("say {{ word }}", needs="first"), "whole": whole}
    job = Piped(tmp_path, stages, code="def size(rows):\n    return len(list(rows))\n", limits={"posts": 1}, rows=2)
    with death(2, before=True):
        job.run()
    (doubt,) = resolution.open_doubts(RunDir(job.directory)).doubts
    resolution.give_up(job.load(), RunDir(job.directory), doubt.key, job.clock.wall())
    job.run()
    key = doubt.key.partition(":")[2]
    assert (job.ends("second")[key][0], job.outputs("whole")) == ("skipped", {"all": "1"})


def test_what_follows_from_a_row_that_was_cancelled_is_skipped(tmp_path: Path) -> None:
    job = piped(tmp_path)
    leave_in_flight(job)
    cancel_all(job)
    assert job.ends("second")["r0"] == ("skipped", "first:r0 ended as failed (cancelled)")
    assert len(job.results()) == 4


def test_a_misspelt_stage_on_the_command_line_is_no_new_one(tmp_path: Path) -> None:
    job = piped(tmp_path)
    with pytest.raises(SpecError, match="there is no stage 'typo'; there are first"):
        load_job(job.write(), ["stages.typo.request.model=gemini-3.5-flash"])


def test_a_column_that_no_row_has_makes_no_groups(tmp_path: Path) -> None:
    job = Piped(tmp_path, {"sum": ask("say {{ rows | length }}", batch={"by": "colour"})})
    with pytest.raises(SpecError, match=r"stages\.sum\.batch\.by: no row has the column 'colour'"):
        job.run()
    assert not (tmp_path / "ledger.jsonl").exists()
