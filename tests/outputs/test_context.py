"""Which files and columns a job's outputs have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from batchrun.outputs.context import ExportContext, context_of
from batchrun.spec.load import load_job
from batchrun.store.reader import Reader
from tests.rehearsal import Rehearsal

from .conversations import Conversations

MODEL = {"model": "gemini-3.5-flash", "input": "{{ id }}"}


def context(run: Conversations, where: Path, request: dict[str, Any], **output: Any) -> ExportContext:
    job = {"name": "job", "input": {"path": "rows.jsonl"}, "request": request, "output": output}
    (where / "job.json").write_text(json.dumps(job))
    with Reader(run.path) as reader:
        return context_of(load_job(where / "job.json"), reader, run.media, emulated=True)


def test_a_plain_job_has_the_plain_files(run: Conversations, tmp_path: Path) -> None:
    found = context(run, tmp_path, MODEL)
    assert (found.extras, found.citations, found.steps, found.searches) == ((), False, False, False)
    assert sorted(run.export(tmp_path, **vars(found))) == ["failed", "results", "usage"]


@pytest.mark.parametrize(
    ("request_", "output", "extras"),
    [
        (MODEL, {"thoughts": True}, ("thoughts",)),
        ({"model": "m", "turns": ["{{ id }}", "again"]}, {}, ("answers",)),
        ({"agent": "deep-research-preview-04-2026", "input": "{{ id }}"}, {}, ("environment_id",)),
        ({"input": "{{ id }}"}, {"thoughts": True}, ("thoughts", "environment_id")),
    ],
)
def test_columns_come_with_what_the_job_asks_for(
    run: Conversations, tmp_path: Path, request_: dict[str, Any], output: dict[str, Any], extras: tuple[str, ...]
) -> None:
    assert context(run, tmp_path, request_, **output).extras == extras


@pytest.mark.parametrize(
    ("request_", "output", "citations", "searches"),
    [
        ({**MODEL, "tools": ["google_search"]}, {}, True, True),
        ({**MODEL, "tools": [{"type": "file_search", "file_search_store_names": ["s"]}]}, {}, True, False),
        ({**MODEL, "tools": ["code_execution"]}, {}, False, False),
        ({**MODEL, "tools": ["google_search"]}, {"citations": False}, False, True),
        (MODEL, {"citations": True}, True, False),
        ({"model": "m", "turns": [{"input": "a", "tools": ["google_search"]}, "b"]}, {}, True, True),
        ({"agent": "deep-research-preview-04-2026", "input": "{{ id }}"}, {}, True, True),
        ({"input": "{{ id }}"}, {}, True, True),
        ({**MODEL, "column": "id"}, {}, True, True),  # rows that have this column may bring tools of their own
    ],
)
def test_citations_and_queries_are_looked_for_where_there_may_be_some(
    run: Conversations,
    tmp_path: Path,
    request_: dict[str, Any],
    output: dict[str, Any],
    citations: bool,
    searches: bool,
) -> None:
    found = context(run, tmp_path, request_, **output)
    assert (found.citations, found.searches) == (citations, searches)


def test_a_grounded_job_tells_its_sources_and_its_queries(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3, request={"tools": ["google_search"], "response_format": None})
    summary = job.run().summary
    citations = pq.read_table(summary.outputs["citations"]).to_pylist()
    texts = {row["key"]: row["text"] for row in job.results()}
    assert {citation["key"] for citation in citations} == {"r0", "r1", "r2"}
    for citation in citations:
        assert citation["url"].startswith("https://")
        assert texts[citation["key"]][citation["start_in_text"] : citation["end_in_text"]] == citation["text"]
    assert [used["search_queries"] for used in job.usage()] == [used["google_search_count"] for used in job.usage()]


def test_the_steps_of_a_run_are_written_on_request(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2, output={"steps": True})
    lines = [json.loads(line) for line in job.run().summary.outputs["steps"].read_text().splitlines()]
    assert {line["key"] for line in lines} == {"r0", "r1"}
    assert "model_output" in {line["step"]["type"] for line in lines}
