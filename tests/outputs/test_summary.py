from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batchrun.errors import InvariantError
from batchrun.outputs.summary import Summary


def a_summary(**overrides: Any) -> Summary:
    counts = dict.fromkeys(("invalid_output", "ambiguous", "pending", "in_flight", "possibly_billed_twice"), 0)
    fields: dict[str, Any] = {
        "run_id": "demo-1",
        "job": "demo",
        "rows": 3,
        "succeeded": 2,
        "failed": 1,
        **counts,
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


@pytest.mark.parametrize("wrong", [{"failed": 0}, {"rows": 4}, {"failed": 2, "pending": -1}, {"ambiguous": 1}])
def test_totals_that_do_not_add_up_are_never_written(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(InvariantError, match="is not"):
        a_summary(**wrong).write(tmp_path / "run.json")
    assert not (tmp_path / "run.json").exists()
