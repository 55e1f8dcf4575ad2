"""Stages stand in an order in which each can begin, and are joined only where their keys name the same things."""

from __future__ import annotations

from typing import Any

import pytest

from batchrun.errors import SpecError
from batchrun.spec.flow import made_of
from batchrun.spec.graph import Graph
from batchrun.spec.stages import INPUT, StageSpec

ASKED = {"request": {"model": "gemini-3.5-flash", "input": "Hi"}}
SPLIT = {"transform": "mine:split", "explode": True}


def graph(**stages: dict[str, Any]) -> Graph:
    return Graph({name: StageSpec.model_validate(stage) for name, stage in stages.items()})


def contracts() -> Graph:
    """Pages of documents, two kinds of them, joined again, and one record for each document."""
    return graph(
        record={"needs": "check", "batch": {"by": "id"}, "transform": "mine:record"},
        check={**ASKED, "needs": ["lease", "sale"]},
        lease={**ASKED, "needs": "classify", "when": "stages.classify.output == 'lease'"},
        sale={**ASKED, "needs": "classify"},
        classify={**ASKED, "needs": "pages"},
        pages=SPLIT,
    )


def test_each_stage_comes_after_those_that_it_needs_and_otherwise_as_it_is_written() -> None:
    assert contracts().order == ("pages", "classify", "lease", "sale", "check", "record")
    assert graph(b=ASKED, a=ASKED, c={**ASKED, "needs": ["a", "b"]}).order == ("b", "a", "c")


def test_what_follows_and_what_comes_before_is_known() -> None:
    found = contracts()
    assert found.after[INPUT] == ("pages",)
    assert found.after["classify"] == ("lease", "sale")
    assert found.below("classify") == ("lease", "sale", "check", "record")
    assert found.above("check") == (INPUT, "pages", "classify", "lease", "sale")
    assert found.last == ("record",)


def test_a_row_sees_one_output_of_each_stage_above_it_and_a_group_none_of_its_rows() -> None:
    found = contracts()
    assert found.seen("check") == ("pages", "classify", "lease", "sale")
    after = graph(a=ASKED, g={**ASKED, "needs": "a", "batch": {"by": "x"}}, z={**ASKED, "needs": "g"})
    assert (after.seen("g"), after.seen("z")) == (("a",), ("g",))


def test_levels_say_what_keys_name() -> None:
    found = contracts()
    assert found.level("pages") == (INPUT,)
    assert found.level("check") == (INPUT, "pages")
    assert found.level("record") == ("groups by 'id'",)
    assert graph(all={**ASKED, "batch": {}}).level("all") == ("all rows",)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ({"a": {**ASKED, "needs": "b"}, "b": {**ASKED, "needs": "a"}}, "in a circle: a → b → a"),
        ({"a": {**ASKED, "needs": "a"}}, "in a circle: a → a"),
        ({"first": ASKED, "b": {**ASKED, "needs": "frist"}}, "there is no stage 'frist'; did you mean 'first'?"),
        ({"a": {**ASKED, "needs": []}}, "name a stage"),
        (
            {"a": SPLIT, "b": ASKED, "c": {**ASKED, "needs": ["a", "b"]}},
            "the keys of 'a' and 'b' name different things",
        ),
        (
            {"a": {**ASKED, "batch": {"by": "x"}}, "b": ASKED, "c": {**ASKED, "needs": ["a", "b"]}},
            "name different things",
        ),
        ({"a": ASKED, "c": {**ASKED, "needs": ["a", INPUT]}}, "the columns of the input are always there"),
        ({"a": {**ASKED, "batch": {"by": "rows"}}}, "every batch has 'rows' of its own: rename the column"),
    ],
)
def test_what_cannot_begin_or_be_joined_is_refused(stages: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match="stages") as caught:
        graph(**stages)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({}, "give `request` or `transform`"),
        ({**ASKED, "transform": "a:b"}, "give `request` or `transform`"),
        ({**ASKED, "explode": True}, "`explode` needs a `transform`"),
        ({**ASKED, "batch": None}, "`batch` is empty: write `batch: {}`"),
    ],
)
def test_a_stage_does_one_thing(stage: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StageSpec.model_validate(stage)


def test_branches_that_meet_again_and_again_are_gone_through_once() -> None:
    stages: dict[str, dict[str, Any]] = {"meet0": ASKED}
    for number in range(40):
        stages[f"left{number}"] = stages[f"right{number}"] = {**ASKED, "needs": f"meet{number}"}
        stages[f"meet{number + 1}"] = {**ASKED, "needs": [f"left{number}", f"right{number}"]}
    found = graph(**stages)
    assert found.level("meet40") == (INPUT,)
    assert len(made_of(found, "meet40", "a")) == len(found.above("meet40")) - 1 == 120
