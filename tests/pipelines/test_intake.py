"""Rows of the input are taken in once each, whatever the stages are that read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchrun.errors import Exit, SpecError
from tests.pipelines.piped import Piped, ask

COUNT = "def count(rows):\n    return len(list(rows))\n"
SIZE = {"transform": "steps:count", "batch": {}}


@pytest.mark.parametrize(
    "stages",
    [{"size": SIZE}, {"one": ask("say {{ word }}"), "other": ask("say {{ word }}"), "size": SIZE}],
)
def test_a_key_that_is_used_twice_is_refused_once_whoever_reads_the_input(
    tmp_path: Path, stages: dict[str, object]
) -> None:
    job = Piped(tmp_path, stages, code=COUNT)
    job.rows.append({**job.rows[0], "word": "other"})
    with pytest.raises(SpecError, match=r"^1 rows repeat a key"):
        job.run()


def test_a_row_that_cannot_be_read_takes_no_group_away_that_is_called_none(tmp_path: Path) -> None:
    job = Piped(tmp_path, {"size": {"transform": "steps:count", "batch": {"by": "group"}}}, code=COUNT)
    job.rows = [{**row, "group": "None"} for row in job.rows]
    job.odd = "{\n"
    assert job.run().exit_code == Exit.SOME_ROWS_FAILED
    assert job.outputs("size") == {"None": "4"}
