"""A row follows when all that it needs has ended; what failed or was left out is told to all that follows from it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from batchrun.rows import Finish, Outcome
from batchrun.spec.flow import LEFT_OUT, UPSTREAM_FAILED, Due, Ended, How, due, following, items, made_of
from batchrun.spec.graph import Graph
from batchrun.spec.stages import INPUT
from tests.spec.test_graph import ASKED, SPLIT, contracts, graph

ROW = {"id": "a", "text": "hello"}


def follow(found: Graph, stage: str, key: str, known: Mapping[tuple[str, str], Ended]) -> list[Due]:
    keys = [at for at, _ in items(found, stage, key, known[stage, key])]
    each = (due(found, name, at, lambda *of: known.get(of)) for name, at in following(found, stage, keys))
    return [made for made in each if made is not None]


def read(**columns: object) -> Ended:
    return Ended(How.SUCCEEDED, {**ROW, **columns})


def answered(output: object, **stages: object) -> Ended:
    return Ended(How.SUCCEEDED, {**ROW, "stages": {name: {"output": value} for name, value in stages.items()}}, output)


CHAIN = graph(first=ASKED, second={**ASKED, "needs": "first"})
MEETING = graph(
    kind=ASKED,
    left={**ASKED, "needs": "kind"},
    right={**ASKED, "needs": "kind"},
    both={**ASKED, "needs": ["left", "right"]},
)


def test_a_row_of_the_input_begins_the_stages_that_read_it() -> None:
    assert follow(CHAIN, INPUT, "a", {(INPUT, "a"): read()}) == [Due("first", "a", {**ROW, "stages": {}})]


def test_an_output_is_what_the_next_stage_reads_beside_the_columns() -> None:
    (due,) = follow(CHAIN, "first", "a", {("first", "a"): answered({"n": 1})})
    assert due == Due("second", "a", {**ROW, "stages": {"first": {"output": {"n": 1}}}})


def test_a_list_becomes_rows_with_keys_of_their_own_and_an_empty_one_none() -> None:
    found = graph(pages=SPLIT, read={**ASKED, "needs": "pages"})
    dues = follow(found, "pages", "a", {("pages", "a"): answered(["one", "two"])})
    assert [(due.key, due.data["stages"]) for due in dues] == [
        ("a/0", {"pages": {"output": "one"}}),
        ("a/1", {"pages": {"output": "two"}}),
    ]
    assert follow(found, "pages", "a", {("pages", "a"): answered([])}) == []


@pytest.mark.parametrize("last", ["left", "right"])
def test_a_join_is_made_once_by_the_last_that_it_needs(last: str) -> None:
    first = "right" if last == "left" else "left"
    known = {(first, "a"): answered(first, kind="k")}
    assert follow(MEETING, first, "a", known) == []
    known[last, "a"] = answered(last, kind="k")
    (due,) = follow(MEETING, last, "a", known)
    assert due.data["stages"] == {
        "kind": {"output": "k"},
        "left": {"output": "left"},
        "right": {"output": "right"},
    }


def test_what_failed_skips_all_that_needs_it_and_is_named() -> None:
    failed = Ended(How.FAILED, ROW, why="first:a ended as failed")
    (due,) = follow(CHAIN, "first", "a", {("first", "a"): failed})
    assert due.end == Finish(Outcome.SKIPPED, UPSTREAM_FAILED, "first:a ended as failed")
    later = graph(first=ASKED, second={**ASKED, "needs": "first"}, third={**ASKED, "needs": "second"})
    (due,) = follow(later, "second", "a", {("second", "a"): Ended(How.FAILED, ROW, why="first:a ended as failed")})
    assert (due.stage, due.end) == ("third", Finish(Outcome.SKIPPED, UPSTREAM_FAILED, "first:a ended as failed"))


def test_what_should_have_been_split_and_failed_is_one_row_that_cannot_be_taken_for_an_item() -> None:
    found = graph(pages=SPLIT, read={**ASKED, "needs": "pages"})
    (due,) = follow(found, "pages", "a", {("pages", "a"): Ended(How.FAILED, ROW, why="pages:a ended as failed")})
    assert (due.key, due.end and due.end.kind) == ("a/-", UPSTREAM_FAILED)


def test_branches_meet_again_where_one_of_them_was_taken() -> None:
    left = Ended(How.LEFT_OUT, ROW, why="left:a: when")
    (due,) = follow(MEETING, "right", "a", {("left", "a"): left, ("right", "a"): answered("r", kind="k")})
    assert (due.end, due.data["stages"]["left"]) == (None, {"output": None})
    right = Ended(How.LEFT_OUT, ROW, why="right:a: when")
    (due,) = follow(MEETING, "right", "a", {("left", "a"): left, ("right", "a"): right})
    assert due.end == Finish(Outcome.SKIPPED, LEFT_OUT, "left:a: when")


def test_a_failed_branch_skips_where_they_meet_though_the_other_has_an_output() -> None:
    known = {("left", "a"): Ended(How.FAILED, ROW, why="left:a ended"), ("right", "a"): answered("r")}
    (due,) = follow(MEETING, "right", "a", known)
    assert due.end == Finish(Outcome.SKIPPED, UPSTREAM_FAILED, "left:a ended")


def test_pages_meet_the_stages_below_them() -> None:
    found = graph(pages=SPLIT, read={**ASKED, "needs": "pages"}, check={**ASKED, "needs": ["pages", "read"]})
    known = {("pages", "a"): answered(["one", "two"]), ("read", "a/1"): answered("said", pages="two")}
    (due,) = follow(found, "read", "a/1", known)
    assert (due.key, due.data["stages"]) == ("a/1", {"pages": {"output": "two"}, "read": {"output": "said"}})


def test_groups_are_left_to_those_who_count() -> None:
    found = contracts()
    assert follow(found, "check", "a/0", {("check", "a/0"): answered("ok")}) == []


def test_what_a_row_is_made_of_is_known_by_its_key_up_to_the_nearest_group() -> None:
    found = contracts()
    lease = [("classify", "a/0"), ("pages", "a")]
    assert sorted(made_of(found, "check", "a/0")) == sorted([*lease, ("lease", "a/0"), ("sale", "a/0")])
    assert sorted(made_of(found, "lease", "a/0")) == lease
    assert not made_of(found, "record", "a")
