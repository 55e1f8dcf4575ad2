"""Real input that nobody here wrote, over a real socket. Skipped where the data is absent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq

from tests.processes import command, emulator, ledger, write_job
from tests.spec.corpus import corpus


def test_1319_school_problems_keep_their_order_and_the_books_agree(tmp_path: Path) -> None:
    source = corpus("gsm8k/test.jsonl")
    shutil.copy(source, tmp_path / "problems.jsonl")
    schema = {"type": "object", "properties": {"answer": {"type": "number"}}, "required": ["answer"]}
    write_job(
        tmp_path,
        0,
        input={"path": "problems.jsonl"},
        request={"model": "gemini-3.5-flash", "input": "{{ question }}", "response_format": {"schema": schema}},
        limits={"posts": 32, "in_flight": 500},
        output={"columns": ["question"]},
    )
    with emulator(tmp_path, "--latency", "100ms") as url:
        code, out, err = command(tmp_path, "run", "job.json", "--base-url", url, "--json")
    summary = json.loads(out)
    assert (code, summary["succeeded"], summary["posts"]) == (0, 1319, 1319), err
    spent = [line["usage"]["total_tokens"] for line in ledger(tmp_path) if line["billed"]]
    assert len(spent) == 1319
    assert sum(spent) == summary["usage"]["total_tokens"]
    asked = [json.loads(line)["question"] for line in source.read_text().splitlines()]
    assert pq.read_table(tmp_path / "runs/job/results.parquet")["question"].to_pylist() == asked
