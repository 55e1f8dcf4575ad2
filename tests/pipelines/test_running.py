"""Rows flow through stages as soon as they can; what fails skips what needs it, and nothing is paid twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batchrun.errors import Exit, SpecError
from batchrun.reports.rows import row_document
from batchrun.store.reader import Reader
from tests.pipelines.piped import Piped, ask

CHAIN = {"first": ask("say {{ word }}"), "second": ask("say {{ stages.first.output }}!", needs="first")}
SPLIT = """
def split(row):
    return [f"{row['word']}-{n}" for n in range(int(row["word"][1:]))]

def joined(rows):
    return {"all": [row["stages"]["read"]["output"] for row in rows]}

def odd(row):
    return None if int(row["word"][1:]) % 2 == 0 else {"odd": row["word"]}
"""
PAGES = {
    "pages": {"transform": "steps:split", "explode": True},
    "read": ask("say {{ stages.pages.output }}", needs="pages"),
    "whole": {"needs": "read", "transform": "steps:joined", "batch": {"by": "id"}},
}


def test_an_output_is_what_the_next_stage_reads(tmp_path: Path) -> None:
    job = Piped(tmp_path, CHAIN)
    result = job.run()
    assert (result.exit_code, result.summary.succeeded) == (Exit.OK, 8)
    assert job.outputs("second") == {f"r{n}": json.dumps(f"w{n}!") for n in range(4)}


def test_a_row_begins_its_next_stage_while_others_have_not_begun_their_first(tmp_path: Path) -> None:
    job = Piped(tmp_path, CHAIN, rows=6, limits={"in_flight": 2})
    job.run()
    sent = job.sent()
    assert sent.index("second:r0") < sent.index("first:r5")
    assert sorted(sent) == sorted(f"{stage}:r{n}" for stage in CHAIN for n in range(6))


def test_what_has_begun_goes_before_what_has_not(tmp_path: Path) -> None:
    job = Piped(tmp_path, CHAIN, rows=8, limits={"in_flight": 1})
    job.run()
    assert job.sent() == [f"{stage}:r{n}" for n in range(8) for stage in CHAIN]


def test_a_split_row_is_joined_again_when_its_own_items_have_ended(tmp_path: Path) -> None:
    job = Piped(tmp_path, PAGES, code=SPLIT, limits={"in_flight": 2})
    assert job.run().exit_code == Exit.OK
    assert job.outputs("read") == {f"r{n}/{item}": f'"w{n}-{item}"' for n in range(4) for item in range(n)}
    assert job.outputs("whole") == {
        "r1": '{"all":["w1-0"]}',
        "r2": '{"all":["w2-0","w2-1"]}',
        "r3": '{"all":["w3-0","w3-1","w3-2"]}',
    }


def test_a_group_waits_for_its_own_rows_alone(tmp_path: Path) -> None:
    stages = {**CHAIN, "sum": ask("{{ rows | length }}: say {{ group }}", needs="second", batch={"by": "group"})}
    job = Piped(tmp_path, stages, rows=12, limits={"in_flight": 1})
    job.rows.sort(key=lambda row: row["group"])
    assert job.run().exit_code == Exit.OK
    sent = job.sent()
    assert sent.index("sum:g0") < sent.index("first:r11")
    assert job.outputs("sum") == {"g0": '"g0"', "g1": '"g1"'}


def test_rows_of_the_input_themselves_are_grouped(tmp_path: Path) -> None:
    job = Piped(tmp_path, {"sum": ask("say {{ rows | map(attribute='word') | join('+') }}", batch={"by": "group"})})
    assert job.run().exit_code == Exit.OK
    assert job.outputs("sum") == {"g0": '"w0+w2"', "g1": '"w1+w3"'}
    assert job.sent() == ["sum:g0", "sum:g1"]


def test_a_transform_that_returns_none_leaves_the_row_out(tmp_path: Path) -> None:
    stages = {"odd": {"transform": "steps:odd"}, "asked": ask("say {{ stages.odd.output.odd }}", needs="odd")}
    job = Piped(tmp_path, stages, code=SPLIT)
    result = job.run()
    assert (result.exit_code, job.outputs("asked")["r1"], len(job.sent())) == (Exit.OK, '"w1"', 2)
    assert job.ends("asked")["r0"] == ("skipped", "steps:odd returned None")


def test_branches_are_taken_by_a_condition_and_meet_again(tmp_path: Path) -> None:
    stages = {
        "kind": ask("say {{ group }}"),
        "left": ask("say left", needs="kind", when="stages.kind.output == 'g0'"),
        "right": ask("say right", needs="kind", when="stages.kind.output == 'g1'"),
        "both": ask("say {{ stages.left.output or stages.right.output }}", needs=["left", "right"]),
    }
    job = Piped(tmp_path, stages)
    result = job.run()
    assert (result.exit_code, result.summary.skipped, len(job.sent())) == (Exit.OK, 4, 12)
    assert list(job.outputs("both").values()) == ['"left"', '"right"', '"left"', '"right"']


def test_what_fails_skips_all_that_needs_it_with_the_cause_in_each(tmp_path: Path) -> None:
    stages = {**CHAIN, "third": ask("say {{ stages.second.output }}", needs="second")}
    job = Piped(tmp_path, stages)
    job.rows[1]["word"] = "failure"
    result = job.run()
    assert (result.exit_code, result.summary.failed, result.summary.skipped) == (Exit.SOME_ROWS_FAILED, 1, 2)
    assert job.ends("third")["r1"] == ("skipped", "first:r1 ended as failed (failed)") == job.ends("second")["r1"]


def test_a_retry_starts_at_the_stage_that_failed(tmp_path: Path) -> None:
    job = Piped(tmp_path, {**CHAIN, "third": ask("say {{ stages.second.output }}", needs="second")})
    assert job.run(faults="failed:#6").exit_code == Exit.SOME_ROWS_FAILED
    before = job.sent()
    assert job.retry() == 1
    assert job.run().exit_code == Exit.OK
    again = job.sent()[len(before) :]
    (failed,) = {key for key in before if key in again}
    assert failed.startswith("second:")
    assert again == [failed, failed.replace("second", "third")]


def test_a_group_lacks_no_row_unless_it_may(tmp_path: Path) -> None:
    def stages(failed: str) -> dict[str, Any]:
        batch = {"by": "group", "failed": failed}
        return {"first": CHAIN["first"], "sum": ask("say {{ rows | length }}", needs="first", batch=batch)}

    for failed, expected in (("skip", ("skipped", None)), ("leave_out", ("succeeded", '"1"'))):
        (tmp_path / failed).mkdir()
        job = Piped(tmp_path / failed, stages(failed))
        job.rows[2]["word"] = "failure"
        job.run()
        assert (job.ends("sum")["g0"][0], job.outputs("sum")["g0"]) == expected
        assert job.outputs("sum")["g1"] == '"2"'


def test_a_transform_that_raises_fails_its_row_and_is_run_again_when_it_was_mended(tmp_path: Path) -> None:
    code = "def check(row):\n    return {'n': 1 / int(row['word'][1:])}\n"
    stages = {
        "first": CHAIN["first"],
        "check": {"needs": "first", "transform": "steps:check"},
        "told": ask("say {{ stages.check.output.n }}", needs="check"),
    }
    job = Piped(tmp_path, stages, code=code)
    assert job.run().exit_code == Exit.SOME_ROWS_FAILED
    assert job.ends("check")["r0"] == ("failed", "steps:check: ZeroDivisionError: division by zero")
    before = len(job.sent())
    job.code = code.replace("1 / ", "0 and ")
    with pytest.raises(SpecError, match="changed: row 'told:r1'"):
        job.run()  # what it told before was paid for
    job.code = code.replace("1 / int(row['word'][1:])", "1 / (int(row['word'][1:]) or 1)")
    assert job.run().exit_code == Exit.OK
    assert job.sent()[before:] == ["told:r0"]


def test_a_stage_may_go_on_from_the_interaction_of_another(tmp_path: Path) -> None:
    stages = {"first": CHAIN["first"], "more": ask("say more", needs="first", **{"continue": "first"})}
    job = Piped(tmp_path, stages, rows=2)
    assert job.run().exit_code == Exit.OK
    ids = {row["key"]: row["interaction_id"] for row in job.usage() if row["stage"] == "first"}
    with Reader(job.directory / "run.db") as reader:
        shown = {key: row_document(job.load(), reader, f"more:{key}") for key in ids}
    assert {key: row["request"]["previous_interaction_id"] for key, row in shown.items()} == ids
    assert not any(row["request_differs_from_the_one_sent"] for row in shown.values())


def test_stages_have_limits_of_their_own_within_those_of_the_job(tmp_path: Path) -> None:
    stages = {**CHAIN, "second": {**CHAIN["second"], "limits": {"rpm": 6}}}
    job = Piped(tmp_path, stages, rows=3)
    job.run(latency="0s")
    at = {key: line["time"] for key, line in zip(job.sent(), job.accepted(), strict=True)}
    assert max(at[f"first:r{n}"] for n in range(3)) - at["first:r0"] < 1
    second = sorted(at[f"second:r{n}"] for n in range(3))
    assert [round(each - second[0]) for each in second] == [0, 10, 20]


def test_a_stage_that_has_used_up_its_money_waits_and_the_others_go_on(tmp_path: Path) -> None:
    cheap = {"generation_config": {"max_output_tokens": 100}}
    dear = ask("say {{ stages.first.output }}!", needs="first", limits={"max_cost": 0.005}, request=cheap)
    job = Piped(tmp_path, {"first": ask("say {{ word }}", request=cheap), "second": dear}, rows=30, limits={"posts": 1})
    result = job.run()
    assert (result.exit_code, "stages.second.limits.max_cost" in str(result.stopped_by)) == (Exit.TRY_LATER, True)
    counts = result.summary.stages
    assert counts["first"] == {"succeeded": 30}
    assert 0 < counts["second"]["succeeded"] < 30 == sum(counts["second"].values())


def test_a_condition_of_a_batch_sees_its_rows(tmp_path: Path) -> None:
    large = {"batch": {"by": "group"}, "when": "rows | length > 1 and rows[0].word == 'w0'"}
    job = Piped(tmp_path, {"sum": ask("say {{ group }}", **large)}, rows=5)
    assert job.run().exit_code == Exit.OK
    assert [end for end, _ in job.ends("sum").values()] == ["succeeded", "skipped"]


def test_a_limit_takes_the_first_rows_and_makes_no_group_of_some(tmp_path: Path) -> None:
    stages = {"first": CHAIN["first"], "sum": ask("say {{ rows | length }}", needs="first", batch={"by": "group"})}
    job = Piped(tmp_path, stages)
    assert (job.run(limit=3).exit_code, job.sent()) == (Exit.OK, ["first:r0", "first:r1", "first:r2", "sum:g0"])
    assert job.run().exit_code == Exit.OK
    assert job.sent()[4:] == ["first:r3", "sum:g1"]


def test_nothing_is_left_to_do_when_all_rows_have_ended(tmp_path: Path) -> None:
    job = Piped(tmp_path, PAGES, code=SPLIT)
    job.run()
    before = len(job.sent())
    assert (job.run().nothing_to_do, len(job.sent())) == (True, before)


def test_half_a_surrogate_pair_in_an_answer_goes_on_as_the_results_show_it_and_stops_nothing(tmp_path: Path) -> None:
    job = Piped(tmp_path, {"first": ask("say {{ word }}"), "second": ask("{{ stages.first.output }}", needs="first")})
    assert job.run(faults="lone_surrogate:#2").exit_code == Exit.OK
    outputs = [json.loads(output or "") for output in job.outputs("first").values()]
    assert [row["text"] for row in job.table("stages/first/results.parquet")] == outputs
    assert sum("\\ud800" in output for output in outputs) == 1
    assert len(job.sent()) == 8


@pytest.mark.parametrize("column", ["group", "a\\b", "a\tb", "a.b", "ü"])
def test_values_that_are_not_written_alike_are_groups_of_their_own(tmp_path: Path, column: str) -> None:
    batch = {"sum": ask("say {{ rows | length }}", batch={"by": column})}
    job = Piped(tmp_path, batch, rows=0)
    values = [1, "1", True, 1.0, 0.3, 0.1 + 0.2, 2**63, 2**63 + 1, "a\0b", "a\0c", "", None, "ü", "\\"]
    job.rows = [{"id": f"r{n}", column: value} for n, value in enumerate(values)]
    assert job.run().exit_code == Exit.OK
    numbers = {"1": '"2"', "1.0": '"1"', "0.3": '"1"', "0.30000000000000004": '"1"', str(2**63): '"1"'}
    texts = {r'"a\u0000b"': '"1"', r'"a\u0000c"': '"1"', "": '"1"', "null": '"1"', "ü": '"1"', "\\": '"1"'}
    assert job.outputs("sum") == {**numbers, **texts, "true": '"1"', str(2**63 + 1): '"1"'}


def test_a_column_called_rows_is_seen_in_later_stages(tmp_path: Path) -> None:
    job = Piped(tmp_path, {"first": ask("say x"), "second": ask("say {{ rows }}", needs="first")}, rows=0)
    job.rows = [{"id": "a", "rows": 3}]
    assert job.run().exit_code == Exit.OK
    assert job.outputs("second") == {"a": '"3"'}


def test_a_row_with_a_column_called_stages_fails_unsent_as_nobody_could_see_it(tmp_path: Path) -> None:
    job = Piped(tmp_path, CHAIN)
    job.rows[1]["stages"] = "three"
    assert job.run().exit_code == Exit.SOME_ROWS_FAILED
    said = "rows.jsonl:2: a column is called 'stages', as the outputs of stages are; rename it"
    assert job.ends("first")["r1"] == ("failed", said)
    assert len(job.sent()) == 6


def test_a_generator_that_raises_half_way_is_told_by_what_it_raised(tmp_path: Path) -> None:
    code = "def items(row):\n    yield 1\n    raise ValueError('half way')\n"
    job = Piped(tmp_path, {"items": {"transform": "steps:items", "explode": True}}, code=code, rows=1)
    assert job.run().exit_code == Exit.SOME_ROWS_FAILED
    assert job.ends("items")["r0"] == ("failed", "steps:items: ValueError: half way")


def test_a_group_waits_for_a_row_that_only_the_user_can_decide_about(tmp_path: Path) -> None:
    stages = {
        "first": ask("say {{ word }}"),
        "second": ask("say {{ stages.first.output }}", needs="first"),
        "sum": ask("say {{ rows | length }}", needs="second", batch={"by": "group", "failed": "leave_out"}),
    }
    job = Piped(tmp_path, stages, retry={"ambiguous": {"model": "hold"}})
    assert job.run(faults="drop_after:#1").exit_code == Exit.ROWS_HELD
    (held,) = [key for key, (outcome, _) in job.ends("first").items() if outcome == "ambiguous"]
    group = f"g{int(held[1:]) % 2}"
    assert job.ends("sum")[group][0] == "skipped"
    assert "ended as ambiguous" in (job.ends("sum")[group][1] or "")
    assert sum(key.startswith("sum:") for key in job.sent()) == 1


def test_a_stage_has_its_own_deadline_and_policies(tmp_path: Path) -> None:
    own: dict[str, Any] = {"poll": {"deadline": "10s"}, "retry": {"attempts": 3, "ambiguous": "hold"}}
    own["request"] = {"model": "gemini-3.1-pro-preview"}  # of which nothing is learned from the first stage
    stages = {"first": ask("say {{ word }}"), "second": ask("say {{ stages.first.output }}", needs="first", **own)}
    late = Piped(tmp_path, stages, rows=2)
    late.run(latency="200s")
    assert [outcome for outcome, _ in late.ends("first").values()] == ["succeeded"] * 2
    assert all("no answer within 10 s" in (said or "") for _, said in late.ends("second").values())
    for where, fault, ends in (("tried", "failed:#2", "succeeded"), ("held", "drop_after:#2", "ambiguous")):
        (tmp_path / where).mkdir()
        job = Piped(tmp_path / where, stages, rows=1)
        job.run(latency="1s", faults=fault)
        assert job.ends("second")["r0"][0] == ends
