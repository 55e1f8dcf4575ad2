"""What a stage may read of others is judged from its templates, and from nothing else that is written there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batchrun.errors import SpecError
from batchrun.spec.load import Job, load_job


def load(where: Path, **second: Any) -> Job:
    first = {"request": {"model": "gemini-3.5-flash", "input": "{{ question }}"}}
    stages = {"first": first, "second": {"needs": "first", **second}}
    path = where / "job.json"
    path.write_text(json.dumps({"name": "a", "input": {"path": "rows.jsonl"}, "stages": stages}))
    return load_job(path)


def test_prose_in_a_request_is_no_expression(tmp_path: Path) -> None:
    prose = "Answer the question (briefly, if you can: it's short)."
    request = {"model": "gemini-3.5-flash", "system_instruction": prose, "input": prose}
    assert load(tmp_path, request=request).graph is not None


@pytest.mark.parametrize(
    ("second", "where"),
    [
        ({"when": "stages.frist.output == 'a'"}, "stages.second.when"),
        (
            {"request": {"model": "gemini-3.5-flash", "input": "{{ stages.frist.output }}"}},
            "stages.second.request.input",
        ),
    ],
)
def test_an_output_that_is_not_there_is_told_where_it_is_read(
    tmp_path: Path, second: dict[str, Any], where: str
) -> None:
    request = {"request": {"model": "gemini-3.5-flash", "input": "Go on."}}
    with pytest.raises(SpecError, match=rf"{where}: `stages.frist`: no output .* did you mean 'first'"):
        load(tmp_path, **request | second)


def test_a_stage_that_is_there_and_not_needed_is_told_to_be_named(tmp_path: Path) -> None:
    request = {"model": "gemini-3.5-flash", "input": "{{ stages.first.output }}"}
    with pytest.raises(SpecError, match=r"`stages.first`: no output .* name 'first' in `needs`"):
        load(tmp_path, needs="input", request=request)


def test_an_async_transform_is_refused_before_anything_is_paid(tmp_path: Path) -> None:
    (tmp_path / "later.py").write_text("async def later(row):\n    return row\n")
    with pytest.raises(SpecError, match="'later:later' is async"):
        load(tmp_path, transform="later:later")
