"""What a service says of its usage may be anything; sums of it are told all the same, wherever they are made."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from batchrun.runs.directory import RunDir
from batchrun.store import glance
from batchrun.store.reader import Reader
from batchrun.telemetry.figures import figures_of
from tests.rehearsal import Rehearsal

COUNTED = ["0", "17", "999999999"]
NOT_COUNTED = ["null", "-1", "1.5", "1e999", "Infinity", "NaN", '"9e999"', '"many"', "[5]", "1000000000", str(10**30)]


@pytest.mark.parametrize("said", [*COUNTED, *NOT_COUNTED])
def test_a_sum_of_tokens_leaves_out_what_is_no_count(tmp_path: Path, said: str) -> None:
    job = Rehearsal(tmp_path, rows=1)
    job.run()
    usage = f'{{"total_input_tokens": {said}, "total_tokens": {said}}}'
    with closing(sqlite3.connect(job.directory / "run.db", isolation_level=None)) as db:
        db.execute("UPDATE attempt SET usage = ?", (usage,))
    counted = int(said) if said in COUNTED else 0
    with Reader(job.directory / "run.db") as reader:
        sums = glance.tokens_in_all(reader)[0], glance.tokens_since(reader, 0.0)
        (read,) = reader.tokens_read(0.0)
    assert (*sums, figures_of(RunDir(job.directory).checkpoint).tokens["input"]) == (counted,) * 3
    assert read[2] == (counted if said in COUNTED else None)
