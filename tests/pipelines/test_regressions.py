"""What an edit, a retry or an odd row must not do to a pipeline: each was found by a random one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from batchrun.emulator.faults import Rule
from batchrun.errors import SpecError
from batchrun.runs.options import Options
from batchrun.runs.run import run
from batchrun.spec.load import load_job
from tests.pipelines.flows import Flow, Life, differences
from tests.pipelines.plans import Line, Plan, Step
from tests.pipelines.steps import said_to

LINES = tuple(Line(f"r{n}", n, "xy"[n % 2]) for n in range(6))
ASKED = Step("a", ("input",), "request", 1, schema=True)
BELOW = Step("b", ("a",), "request", 2, schema=True)


def lived(where: Path, *plans: Plan) -> Flow:
    """A life for each plan in turn, each with the tables of its own in the end."""
    flow = Flow(where, 1)
    for plan in plans:
        flow.live(Life(plan))
        assert [*flow.broken, *differences(flow, plan)] == []
    return flow


def plan(*steps: Step, lines: Sequence[Line] = LINES) -> Plan:
    return Plan(steps, tuple(lines))


def spoiling(step: Step, count: int) -> tuple[Rule, ...]:
    """Faults by which so many rows of a stage fail that would not have."""
    prompts = [f"{step.name} {step.salt}: {line.n}" for line in LINES]
    good = [prompt for prompt in prompts if said_to(prompt, schema=step.schema).outcome == "succeeded"]
    return tuple(Rule("no_steps", match=prompt) for prompt in good[:count])


def test_a_prompt_may_be_the_same_for_all_rows(tmp_path: Path) -> None:
    lived(tmp_path, plan(replace(ASKED, reads=False)))


def test_a_row_that_cannot_be_used_fails_where_a_batch_takes_the_input_too(tmp_path: Path) -> None:
    batch = Step("all_of_them", ("input",), "map", 3, by="all", failed="leave_out")
    lived(tmp_path, plan(batch, ASKED, lines=[*LINES, Line("odd", 1, "x", "bad_key"), Line("", 1, "x", "bad_json")]))


def test_a_row_that_cannot_be_read_belongs_to_no_group_however_far_below(tmp_path: Path) -> None:
    groups = Step("groups", ("b",), "map", 3, by="g")
    lived(tmp_path, plan(ASKED, BELOW, groups, lines=[*LINES, Line("", 1, "x", "bad_json")]))


def test_the_rows_of_a_stage_that_is_gone_are_gone_even_where_they_had_not_ended(tmp_path: Path) -> None:
    whole = plan(ASKED, BELOW)
    flow = lived(tmp_path, whole, plan(ASKED))
    flow.live(Life(whole, stops_at=1))
    flow.live(Life(plan(ASKED)))
    assert [*differences(flow, plan(ASKED))] == []


def test_a_row_that_a_condition_leaves_out_is_not_asked_when_its_prompt_is_edited(tmp_path: Path) -> None:
    left_out = replace(ASKED, when=0)
    flow = lived(tmp_path, plan(ASKED), plan(left_out))
    paid = len(flow.payments())
    flow.live(Life(plan(replace(left_out, salt=9))))
    assert [*differences(flow, plan(replace(left_out, salt=9)))] == []
    assert len(flow.payments()) - paid == sum(line.n % 3 != 0 for line in LINES)


def test_rows_that_left_the_input_stay_away_when_nothing_else_is_left(tmp_path: Path) -> None:
    whole = plan(ASKED, BELOW)
    lived(tmp_path, whole, replace(whole, lines=()), plan(ASKED, replace(BELOW, salt=9), lines=()))


def test_a_stage_can_be_continued_by_one_that_comes_later_and_is_not_next_to_it(tmp_path: Path) -> None:
    third = Step("c", ("b",), "map", 3)
    last = Step("d", ("c",), "request", 4, continues="a")
    flow = lived(tmp_path, plan(ASKED, BELOW, third), plan(ASKED, BELOW, third, last))
    asked = {key.partition(":")[0] for key, _ in flow.payments()[len(LINES) * 2 :]}
    assert asked <= {"d"}


def test_a_batch_may_come_to_rows_that_none_took_before(tmp_path: Path) -> None:
    first, late = Step("f", ("a",), "request", 3, True, by="g"), Step("l", ("f",), "map", 4, by="g")
    lived(tmp_path, plan(ASKED, first), plan(ASKED, first, late))


@pytest.mark.parametrize("other", ["map", "filter", "explode"])
def test_a_request_may_become_a_transform_and_a_request_again(tmp_path: Path, other: str) -> None:
    asked, turned = plan(ASKED, BELOW), plan(ASKED, replace(BELOW, kind=other))
    flow = lived(tmp_path, asked, turned)
    paid = len(flow.payments())
    lived_on = Flow(tmp_path, 1)
    lived_on.live(Life(asked))
    assert [*differences(lived_on, asked)] == []
    assert len(flow.payments()) == paid, "the same request has its answer back"


def test_an_edit_of_the_last_stage_asks_nothing_else_and_undone_in_time_costs_nothing(tmp_path: Path) -> None:
    whole, edited = plan(ASKED, BELOW), plan(ASKED, replace(BELOW, salt=9))
    flow = lived(tmp_path, whole)
    before, paid = flow.rows(), len(flow.payments())
    flow.write(edited)
    options = Options(flow.directory.path, emulator=flow.service(Life(edited)))
    with pytest.raises(SpecError, match="has changed since this run began"):
        run(load_job(tmp_path / "job.json"), options, flow.clocks.wall, run_async=flow.clocks.run)
    assert (flow.rows(), len(flow.payments())) == (before, paid)
    flow.live(Life(whole))
    assert len(flow.payments()) == paid
    flow.live(Life(edited))
    assert {key.partition(":")[0] for key, _ in flow.payments()[paid:]} == {"b"}
    assert [*differences(flow, edited)] == []


@pytest.mark.parametrize("when", [0, 1, 2])
def test_a_retry_above_where_branches_meet_mixes_nothing(tmp_path: Path, when: int) -> None:
    """The stage below reads two, of which one is made of the other: it waits for both to be made anew."""
    first = Step("first", ("input",), "request", 5, schema=True)
    left = Step("left", ("first",), "map", 11, when=when)
    both = Step("both", ("first", "left"), "request", 7, schema=True)
    last = Step("last", ("both",), "request", 8, schema=True)
    whole = plan(first, left, both, last)
    flow = Flow(tmp_path, 1)
    flow.live(Life(whole, faults=spoiling(first, 3)))
    assert flow.held(whole) == 3
    flow.retry()
    flow.live(Life(whole))
    assert [*flow.broken, *differences(flow, whole)] == []


def test_a_group_that_gets_a_row_back_is_met_by_what_is_made_of_it_now(tmp_path: Path) -> None:
    """A join of a group and of what follows from the group is asked once more, not first with what was there before."""
    group = Step("group", ("a",), "map", 1, by="all", failed="leave_out")
    said = Step("said", ("group",), "request", 3, schema=True)
    both = Step("both", ("group", "said"), "request", 3, schema=True)
    whole = plan(ASKED, group, said, both)
    flow = Flow(tmp_path, 1)
    flow.live(Life(whole, faults=spoiling(ASKED, 1)))
    paid = len(flow.payments())
    (lost,) = (key for key, (_, kind, *_) in flow.rows().items() if kind == "empty_output")
    assert flow.retry(lost) == 1
    flow.live(Life(whole))
    assert [*flow.broken, *differences(flow, whole)] == []
    asked = [key.partition(":")[0] for key, _ in flow.payments()[paid:]]
    assert sorted(asked) == ["a", "both", "said"]
