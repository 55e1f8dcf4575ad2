"""An edit pays for the stage it is of and for what really changes below; `plan` and the refusal say so before."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchrun.errors import Exit, SpecError
from batchrun.reports.stage_previews import preview_stages
from batchrun.runs.directory import RunDir
from tests.pipelines.piped import MODEL, Piped, ask

STAGES = {
    "first": ask("say {{ word }}"),
    "second": ask("say {{ stages.first.output }}!", needs="first"),
    "third": ask("say {{ stages.second.output }}?", needs="second"),
}


def done(where: Path, **stages: object) -> Piped:
    job = Piped(where, {**STAGES, **stages})
    assert job.run().exit_code == Exit.OK
    return job


def accepted(job: Piped) -> list[str]:
    """The rows that a run sends after an edit, which it first refuses to make."""
    before = len(job.sent())
    with pytest.raises(SpecError, match="nothing was sent"):
        job.run()
    assert len(job.sent()) == before
    assert job.run(accept_change=True).exit_code == Exit.OK
    return sorted(job.sent()[before:])


def test_an_edit_of_the_last_stage_sends_only_that_again(tmp_path: Path) -> None:
    job = done(tmp_path)
    job.spec["stages"]["third"] = ask("say {{ stages.second.output }}.", needs="second")
    assert accepted(job) == [f"third:r{n}" for n in range(4)]


def test_an_edit_of_the_first_stage_that_changes_no_answer_leaves_all_below(tmp_path: Path) -> None:
    job = done(tmp_path)
    job.spec["stages"]["first"] = ask("please say {{ word }}")
    assert accepted(job) == [f"first:r{n}" for n in range(4)]


def test_an_edit_that_changes_some_answers_sends_what_reads_them(tmp_path: Path) -> None:
    job = done(tmp_path)
    job.spec["stages"]["first"] = ask("say {{ 'new' if id == 'r2' else word }}")
    assert accepted(job) == ["first:r2", "second:r2", "third:r2"]


def test_an_edit_that_is_undone_costs_nothing(tmp_path: Path) -> None:
    job = done(tmp_path)
    job.spec["stages"]["first"] = ask("say something else")
    with pytest.raises(SpecError, match="4 changed"):
        job.run()
    job.spec["stages"]["first"] = STAGES["first"]
    assert job.run().nothing_to_do


def test_limits_are_no_edit(tmp_path: Path) -> None:
    job = done(tmp_path)
    job.spec["stages"]["second"] = {**STAGES["second"], "limits": {"rpm": 1000}}
    assert job.run().nothing_to_do


def test_the_plan_says_what_an_edit_would_send_and_touches_nothing(tmp_path: Path) -> None:
    job = done(tmp_path)
    job.spec["stages"]["second"] = ask("say {{ stages.first.output }}!!", needs="first")
    before = (job.directory / "run.db").read_bytes()
    found = preview_stages(job.load(), RunDir(job.directory), job.clock.wall())
    assert (job.directory / "run.db").read_bytes() == before
    assert (found.changes.again, found.changes.waiting, found.changes.waiting_tokens > 0) == (4, 4, True)
    assert {name: stage.to_send for name, stage in found.stages.items()} == {"first": 0, "second": 4, "third": 0}
    assert (found.stages["third"].waits, found.stages["third"].more) == (True, 4)


def test_a_plan_of_what_never_ran_counts_what_may_follow(tmp_path: Path) -> None:
    job = Piped(tmp_path, {**STAGES, "all": ask("say {{ rows | length }}", needs="third", batch={})})
    found = preview_stages(job.load(), None, job.clock.wall())
    assert (found.rows, found.to_send, found.interactions) == (4, 4, (4, 4))
    assert [(stage.waits, stage.more) for stage in found.stages.values()] == [
        (False, None),
        (True, 4),
        (True, 4),
        (True, None),
    ]


def test_a_condition_that_leaves_out_what_was_paid_is_told_and_undone_for_nothing(tmp_path: Path) -> None:
    job = done(tmp_path)
    sent = len(job.sent())
    job.spec["stages"]["second"] = {**STAGES["second"], "when": "id != 'r1'"}
    with pytest.raises(SpecError, match=r"2 gone.*\n.*gone: row 'second:r1'"):
        job.run()
    assert (job.run(accept_change=True).exit_code, job.ends("third")["r1"]) == (
        Exit.OK,
        ("skipped", "stages.second.when: id != 'r1'"),
    )
    job.spec["stages"]["second"] = STAGES["second"]
    assert (job.run().exit_code, job.outputs("third")["r1"]) == (Exit.OK, '"w1!?"')
    assert len(job.sent()) == sent


def test_a_stage_may_be_added_and_taken_away(tmp_path: Path) -> None:
    job = done(tmp_path)
    sent = len(job.sent())
    job.spec["stages"]["fourth"] = ask("say {{ stages.third.output }}", needs="third")
    assert job.run().exit_code == Exit.OK
    assert sorted(job.sent()[sent:]) == [f"fourth:r{n}" for n in range(4)]
    del job.spec["stages"]["fourth"]
    with pytest.raises(SpecError, match="4 gone"):
        job.run()
    assert job.run(accept_change=True).summary.rows == 12


def test_rows_of_the_input_come_go_and_change_with_all_that_follows(tmp_path: Path) -> None:
    job = done(tmp_path)
    sent = len(job.sent())
    job.rows.append({"id": "r9", "word": "w9", "group": "g1"})
    assert job.run().exit_code == Exit.OK
    assert sorted(job.sent()[sent:]) == ["first:r9", "second:r9", "third:r9"]
    del job.rows[0]
    job.rows[0]["word"] = "other"
    assert accepted(job) == ["first:r1", "second:r1", "third:r1"]
    assert sorted(job.ends("third")) == ["r1", "r2", "r3", "r9"]


def test_a_group_is_asked_anew_when_one_of_its_rows_says_something_else(tmp_path: Path) -> None:
    job = Piped(
        tmp_path,
        {
            "first": STAGES["first"],
            "sum": ask(
                "say {{ rows | map(attribute='stages.first.output') | join('+') }}",
                needs="first",
                batch={"by": "group"},
            ),
        },
    )
    assert job.run().exit_code == Exit.OK
    job.rows[3]["word"] = "new"
    assert accepted(job) == ["first:r3", "sum:g1"]
    assert job.outputs("sum") == {"g0": '"w0+w2"', "g1": '"w1+new"'}


def test_items_that_are_no_more_are_told_with_what_followed_from_them(tmp_path: Path) -> None:
    stages = {
        "items": {"transform": "steps:items", "explode": True},
        "each": ask("say {{ stages.items.output }}", needs="items"),
        "again": ask("say {{ stages.each.output }}", needs="each"),
    }
    job = Piped(tmp_path, stages, code="def items(row):\n    return [1, 2, 3]\n", rows=1)
    assert job.run().exit_code == Exit.OK
    job.code = "def items(row):\n    return [1, 2]\n"
    with pytest.raises(SpecError, match="0 changed, 2 gone"):
        job.run()
    assert (job.run(accept_change=True).exit_code, list(job.outputs("again"))) == (Exit.OK, ["r0/0", "r0/1"])


def test_what_followed_from_a_row_that_left_the_input_is_gone_and_not_waiting(tmp_path: Path) -> None:
    job = done(tmp_path)
    del job.rows[0]
    job.rows[0]["word"] = "other"
    found = preview_stages(job.load(), RunDir(job.directory), job.clock.wall())
    assert (found.changes.again, found.changes.gone, found.changes.waiting) == (1, 3, 2)


def test_a_condition_that_could_not_be_judged_is_judged_anew_once_it_is_mended(tmp_path: Path) -> None:
    job = Piped(tmp_path, {**STAGES, "second": {**STAGES["second"], "when": "word.size > 0"}})
    assert job.run().exit_code == Exit.SOME_ROWS_FAILED
    assert job.ends("second")["r1"] == ("failed", "stages.second.when: no field 'size' in a value of type str")
    job.spec["stages"]["second"]["when"] = "id != 'r2'"
    assert job.run().exit_code == Exit.OK
    assert [job.ends("third")[key][0] for key in ("r1", "r2")] == ["succeeded", "skipped"]


def test_a_condition_that_can_be_judged_no_more_takes_what_was_paid_out_and_gives_it_back(tmp_path: Path) -> None:
    job = done(tmp_path)
    sent = len(job.sent())
    job.spec["stages"]["second"] = {**STAGES["second"], "when": "word.size > 0"}
    with pytest.raises(SpecError, match="8 gone"):
        job.run()
    assert job.run(accept_change=True).exit_code == Exit.SOME_ROWS_FAILED
    assert (job.ends("second")["r1"][0], job.ends("third")["r1"][0]) == ("failed", "skipped")
    job.spec["stages"]["second"] = {**STAGES["second"], "when": "word.size > 1"}
    assert job.run().exit_code == Exit.SOME_ROWS_FAILED
    job.spec["stages"]["second"] = STAGES["second"]
    assert (job.run().exit_code, job.outputs("third")["r1"]) == (Exit.OK, '"w1!?"')
    assert len(job.sent()) == sent


def test_what_follows_by_a_transform_from_rows_asked_anew_waits_and_is_not_gone(tmp_path: Path) -> None:
    stages = {
        "first": STAGES["first"],
        "same": {"transform": "steps:same", "needs": "first"},
        "each": {"transform": "steps:each", "needs": "same", "explode": True},
        "last": ask("say {{ stages.each.output }}", needs="each"),
    }
    code = "def same(row):\n    return row['stages']['first']['output']\n\n\ndef each(row):\n    return ['a', 'b']\n"
    job = Piped(tmp_path, stages, code=code)
    assert job.run().exit_code == Exit.OK
    job.spec["stages"]["first"] = ask("please say {{ word }}")
    found = preview_stages(job.load(), RunDir(job.directory), job.clock.wall())
    assert (found.changes.again, found.changes.gone, found.changes.waiting) == (4, 0, 8)


def test_a_run_without_stages_is_not_gone_on_with_in_stages_nor_the_other_way(tmp_path: Path) -> None:
    job = Piped(tmp_path, STAGES)
    alone = {"model": MODEL, "input": "say {{ word }}"}
    job.spec["request"] = alone
    del job.spec["stages"]
    assert job.run().exit_code == Exit.OK
    del job.spec["request"]
    job.spec["stages"] = dict(STAGES)
    for look in (job.run, lambda: preview_stages(job.load(), RunDir(job.directory), job.clock.wall())):
        with pytest.raises(SpecError, match=r"as it was without stages; nothing was sent.*--run-dir"):
            look()
    (tmp_path / "piped").mkdir()
    piped = done(tmp_path / "piped")
    piped.spec["request"] = alone
    del piped.spec["stages"]
    with pytest.raises(SpecError, match="as it was with stages"):
        piped.run(accept_change=True)


CODE = "def f(row):\n    return {'t': row['word']}\n\ndef items(row):\n    return row['word'].split()\n"
BELOW = {"first": STAGES["first"], "f": {"needs": "first", "transform": "steps:f"}}


AS_IT_IS, IN_PARTS = {"transform": "steps:f"}, {"transform": "steps:items", "explode": True}
NOT_NEW = "stages.f.output.t != 'new'"
GROUPED = ask("{{ rows[0].stages.f.output.t }} say x", needs="f", batch={"by": "id"})


@pytest.mark.parametrize(
    ("stages", "edited", "told"),
    [
        ({**BELOW, "b": ask("say {{ stages.f.output.t }}", needs="f")}, "new", "1 changed(.|\n)*1 row of later"),
        ({"f": AS_IT_IS, "b": ask("say {{ group }}", needs="f", when=NOT_NEW)}, "new", "1 gone"),
        ({"f": AS_IT_IS, "b": GROUPED}, "new", "1 changed"),
        ({"f": IN_PARTS, "b": ask("say {{ stages.f.output }}", needs="f")}, "new old", "1 changed"),
    ],
)  # fmt: skip
def test_an_edit_of_the_input_that_reaches_what_was_paid_through_a_transform_is_told(
    tmp_path: Path, stages: dict[str, object], edited: str, told: str
) -> None:
    job = Piped(tmp_path, stages, code=CODE)
    assert job.run().exit_code == Exit.OK
    sent = len(job.sent())
    job.rows[0]["word"] = edited
    with pytest.raises(SpecError, match=told):
        job.run()
    assert len(job.sent()) == sent
    assert job.run(accept_change=True).exit_code == Exit.OK


def test_a_group_that_gets_a_row_more_is_told_before_it_is_paid_again(tmp_path: Path) -> None:
    stages = {"first": STAGES["first"], "sum": ask("say {{ rows | length }}", needs="first", batch={"by": "group"})}
    job = Piped(tmp_path, stages)
    job.run()
    job.rows.append({"id": "r4", "word": "w4", "group": "g0"})
    with pytest.raises(SpecError, match="1 row of later stages"):
        job.run()
    job.run(accept_change=True)
    assert job.outputs("sum") == {"g0": '"3"', "g1": '"2"'}


def test_a_plan_that_runs_a_transform_compares_what_follows_with_what_was_asked(tmp_path: Path) -> None:
    stages = {"same": {"transform": "steps:same"}, "last": ask("say {{ stages.same.output }}", needs="same")}
    job = Piped(tmp_path, stages, code="def same(row):\n    return row['id']\n")
    assert job.run().exit_code == Exit.OK
    sent = len(job.sent())
    job.rows[0]["word"] = "other"
    found = preview_stages(job.load(), RunDir(job.directory), job.clock.wall())
    assert (found.to_send, job.run().exit_code, len(job.sent()) - sent) == (0, Exit.OK, 0)
