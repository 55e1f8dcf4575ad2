"""What a job file may say of stages, and how it is told what it may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from batchrun.errors import SpecError
from batchrun.spec.load import Job, load_job

MODEL = {"model": "gemini-3.5-flash"}
FIRST = {"request": {**MODEL, "input": "{{ text }}"}}
SPLIT = {"transform": "steps:split", "explode": True}


def then(needs: str | list[str], text: str, **more: Any) -> dict[str, Any]:
    return {"needs": needs, "request": {**MODEL, "input": text}, **more}


def load(where: Path, stages: dict[str, Any], **more: Any) -> Job:
    (where / "steps.py").write_text("def split(row):\n    return []\n\nasync def late(row):\n    return {}\n")
    job = {"name": "job", "input": {"path": "rows.jsonl"}, "stages": stages, **more}
    YAML(typ="safe", pure=True).dump(job, where / "job.yaml")
    return load_job(where / "job.yaml")


def test_what_requests_of_stages_leave_out_is_taken_from_the_file_s_request(tmp_path: Path) -> None:
    stages = {
        "first": {"request": {"input": "{{ text }}"}},
        "second": {"needs": "first", "request": {"model": "gemini-3.1-pro-preview", "input": "again"}},
        "third": {
            "needs": "second",
            "request": {"agent": "deep-research-preview-04-2026", "turns": ["{{ text }}"], "system_instruction": None},
        },
    }
    shared = {**MODEL, "system_instruction": "Be brief.", "generation_config": {"seed": 1}, "input": "unused"}
    job = load(tmp_path, stages, request=shared)
    first, second, third = (job.of(name).spec.request for name in stages)
    assert (first.model, first.system_instruction, first.input) == (MODEL["model"], "Be brief.", "{{ text }}")
    assert (second.model, second.generation_config) == ("gemini-3.1-pro-preview", {"seed": 1})
    assert (third.model, third.generation_config, third.input, third.system_instruction) == (
        None,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ({"a": {**FIRST, "needs": "b"}}, "stages.a.needs: there is no stage 'b'"),
        ({"a": {**FIRST, "needs": "b"}, "b": {**FIRST, "needs": "a"}}, "stages: they need one another in a circle: "),
        ({"a-b": FIRST}, "letters, digits and _"),
        ({"input": FIRST}, "'input' is the name of the input itself"),
        ({"a": {}}, "give `request` or `transform`"),
        ({"a": {**FIRST, "explode": True}}, "`explode` needs a `transform`"),
        ({"a": {"transform": "steps:gone"}}, "stages.a.transform: module 'steps' has no function 'gone'"),
        ({"a": {"transform": "steps:late"}}, "async"),
        ({"a": {**FIRST, "when": "{{ x }}"}}, "stages.a.when: .*leave the braces out"),
        ({"a": FIRST, "b": then("a", "{{ stages.c.output }}")}, "`stages.c`: no output"),
        ({"a": FIRST, "b": then("a", "{{ stages.a.output }}", batch={})}, "a batch reads its rows"),
        ({"a": FIRST, "b": then("a", "{{ text }}", batch={})}, r"rows\[0\].text"),
        ({"a": {**FIRST, "continue": "b"}}, "'b' is no stage before this one"),
        ({"a": {"transform": "steps:split"}, "b": {**FIRST, "needs": "a", "continue": "a"}}, "'a' is a transform"),
        ({"a": {**FIRST, "limits": {"posts": 3}}}, "stages.a.limits.posts: unknown key: it is the job's"),
        ({"a": {**FIRST, "depends_on": "b"}}, "stages.a.depends_on: unknown key: write `needs`"),
        ({"a": {"request": {**MODEL, "input": "{{ text"}}}, "job.yaml:5: stages.a.request.input: unexpected end"),
        (
            {"p": SPLIT, "a": then("p", "x"), "b": FIRST, "c": then(["a", "b"], "x")},
            "the keys of 'a' and 'b' name different things",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_stands(tmp_path: Path, stages: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        load(tmp_path, stages)


def test_the_results_are_of_a_stage_that_there_is(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no stage 'z'"):
        load(tmp_path, {"a": FIRST}, output={"stage": "z"})


def test_settings_that_do_nothing_in_a_stage_are_told(tmp_path: Path) -> None:
    job = load(tmp_path, {"a": {**FIRST, "timeout": 3}, "b": {**SPLIT, "needs": "a", "limits": {"rpm": 3}}})
    assert [line.partition(": this")[0].rpartition(": ")[2] for line in job.warnings] == [
        "stages.a.timeout",
        "stages.b.limits.rpm",
    ]
