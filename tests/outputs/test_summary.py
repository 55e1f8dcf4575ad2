from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batchrun.errors import InvariantError
from batchrun.outputs.summary import CLASSES, Summary
from batchrun.rows import Outcome


def a_summary(**overrides: Any) -> Summary:
    counts = dict.fromkeys((*CLASSES, "in_flight", "possibly_billed_twice"), 0)
    fields: dict[str, Any] = {
        "run_id": "demo-1",
        "job": "demo",
        **counts,
        "rows": 3,
        "succeeded": 2,
        "failed": 1,
        "attempts": 3,
        "posts": 3,
        "posts_this_run": 3,
        "polls": 6,
        "usage": {"total_tokens": None, "attempts_without_usage": 3},
        "errors": {"bad_json": 1},
        "elapsed_s": 1.5,
        "outputs": {"results": Path("/tmp/results.parquet")},
    }
    return Summary(**{**fields, **overrides})


def test_run_json_holds_the_whole_summary(tmp_path: Path) -> None:
    a_summary().write(tmp_path / "run.json")
    document = json.loads((tmp_path / "run.json").read_text())
    assert document["rows"] == 3
    assert document["usage"]["total_tokens"] is None
    assert document["outputs"] == {"results": "/tmp/results.parquet"}
    assert document == a_summary().document()


@pytest.mark.parametrize(
    "wrong", [{"failed": 0}, {"rows": 4}, {"failed": 2, "pending": -1}, {"ambiguous": 1}, {"blocked": 1}]
)
def test_totals_that_do_not_add_up_are_never_written(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(InvariantError, match="is not"):
        a_summary(**wrong).write(tmp_path / "run.json")
    assert not (tmp_path / "run.json").exists()


def test_every_outcome_is_a_class_of_the_summary() -> None:
    assert set(CLASSES) == {*Outcome, "pending"}
    a_summary(rows=len(CLASSES), **dict.fromkeys(CLASSES, 1)).verify()


def test_cut_off_and_blocked_rows_are_unusable_and_plans_are_held() -> None:
    summary = a_summary(rows=15, succeeded=0, failed=1, incomplete=2, blocked=3, awaiting_approval=4, ambiguous=5)
    assert (summary.unusable, summary.held) == (6, 9)
