"""`batchrun plan`: what it says of jobs whose rows take more than one interaction."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from batchrun.cli import commands
from batchrun.errors import Exit
from batchrun.runs.forecast import ANSWER_TOKENS
from batchrun.store.reader import Reader
from tests.engine.test_resume import death
from tests.engine.test_talks import interview, weather
from tests.example_jobs import FAST, FOLDER, JOBS, OWN, PIPELINES
from tests.rehearsal import Rehearsal

MODEL = "gemini-3.5-flash"


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def batchrun(*arguments: str) -> str:
    result = CliRunner().invoke(commands, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def write_job(rows: int = 2, **request: Any) -> None:
    request = request if "agent" in request else {"model": MODEL, **request}
    spec = {"name": "job", "input": {"path": "rows.jsonl", "key": "id"}, "request": request}
    Path("job.json").write_text(json.dumps(spec))
    Path("rows.jsonl").write_text("".join(json.dumps({"id": f"r{n}", "q": f"why {n}"}) + "\n" for n in range(rows)))


def plan(*arguments: str, **request: Any) -> dict[str, Any]:
    write_job(**request)
    document: dict[str, Any] = json.loads(batchrun("plan", "job.json", "--json", *arguments))
    return document


def inputs(document: dict[str, Any]) -> list[Any]:
    return [shown["request"]["input"] for shown in document["requests"]]


def test_a_single_request_is_estimated_as_what_the_model_reads() -> None:
    told = plan(input="x" * 4_000)
    assert told["interactions"] == {"at_least": 2, "at_most": 2}
    assert told["estimated_input_tokens"] == pytest.approx(2_000, rel=0.01)
    assert (told["assumed_answer_tokens"], told["not_counted"]) == (None, [])
    said = batchrun("plan", "job.json")
    assert "to send: 2 interactions\nto read: about 2,0" in said
    assert "if answers have" not in said


@pytest.mark.parametrize("store", [True, False])
def test_each_turn_reads_what_was_said_before_wherever_the_history_is_kept(store: bool) -> None:
    told = plan(turns=["x" * 4_000, "y" * 4_000, "z" * 4_000], store=store)
    said_and_read = 1_000 + (2_000 + ANSWER_TOKENS) + (3_000 + 2 * ANSWER_TOKENS)
    assert told["interactions"] == {"at_least": 6, "at_most": 6}
    assert told["estimated_input_tokens"] == pytest.approx(2 * said_and_read, rel=0.05)
    assert told["assumed_answer_tokens"] == ANSWER_TOKENS
    assert f"if answers have {ANSWER_TOKENS} tokens" in batchrun("plan", "job.json")


def test_instructions_are_read_each_turn_and_are_no_part_of_the_history() -> None:
    short = plan(turns=["a", "b", "c"])["estimated_input_tokens"]
    long = plan(turns=["a", "b", "c"], system_instruction="s" * 4_000)["estimated_input_tokens"]
    assert long - short == pytest.approx(2 * 3 * 1_000, rel=0.02)


def test_an_answer_is_not_taken_to_be_longer_than_it_may_be() -> None:
    free = plan(turns=["a", "b"])["estimated_input_tokens"]
    bound = plan(turns=["a", "b"], generation_config={"max_output_tokens": 50})["estimated_input_tokens"]
    assert free - bound == pytest.approx(2 * (ANSWER_TOKENS - 50), rel=0.02)


def test_later_turns_are_shown_by_their_row_with_a_mark_for_what_is_not_known() -> None:
    told = plan("--show", "1", turns=["First {{ q }}", "You said {{ answers[0] }}. {{ q }}?"])
    assert [(shown["key"], shown["exchange"]) for shown in told["requests"]] == [("r0", 0), ("r0", 1)]
    assert inputs(told) == ["First why 0", "You said <answer 1, not known yet>. why 0?"]
    assert told["requests"][1]["request"]["previous_interaction_id"] == "ID-OF-INTERACTION-1"
    lines = batchrun("plan", "job.json", "--show", "2").splitlines()
    assert [line for line in lines if line.startswith("row ")] == [
        "row r0, request 1 of 2:", "row r0, request 2 of 2:", "row r1, request 1 of 2:", "row r1, request 2 of 2:",
    ]  # fmt: skip


def test_a_turn_that_cannot_be_written_without_its_answers_is_named_and_the_figures_are_a_lower_bound() -> None:
    told = plan("--show", "1", turns=["a", "{{ answers[0].split('X')[1] }}", "c"])
    assert inputs(told) == ["a"]
    assert told["interactions"] == {"at_least": 6, "at_most": 6}
    assert told["not_counted"][0].startswith("interaction 2 of a row and those after it, before there are answers: ")
    assert "to read: at least" in batchrun("plan", "job.json")


def test_rounds_of_functions_make_a_range() -> None:
    Path("now.py").write_text('def now() -> str:\n    """Tells the time."""\n    return "noon"\n')
    told = plan(turns=["a", "b"], functions="now", function_calling={"rounds": 3})
    assert told["interactions"] == {"at_least": 4, "at_most": 16}
    said = batchrun("plan", "job.json")
    assert "to send: 4 to 16 interactions" in said
    assert "not counted: calls of your functions: up to 3 rounds a turn" in said


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"input": "a", "tools": ["google_search"]}, "(google_search)"),
        ({"input": [{"type": "image", "uri": "https://example.com/a.png"}]}, "files behind addresses"),
        ({"agent": "deep-research-preview-04-2026", "input": "a"}, "what the agent reads while it works"),
        (
            {
                "agent": "antigravity-preview-09-2026",
                "input": "a",
                "environment": "remote",
                "agent_config": {"type": "antigravity", "max_total_tokens": 9_000},
            },
            "it stops at 9,000 tokens an interaction",
        ),
    ],
)
def test_what_nobody_can_know_before_is_named_and_the_figure_is_a_lower_bound(
    request_: dict[str, Any], reason: str
) -> None:
    (left_out,) = plan(**request_)["not_counted"]
    assert reason in left_out
    assert "to read: at least" in batchrun("plan", "job.json")


@pytest.mark.parametrize("odd", [{"type": {}, "uri": "https://example.com/a.png"}, {"type": ["image"]}, [[]]])
def test_odd_content_of_a_row_s_own_request_is_no_failure_of_batchrun(odd: Any) -> None:
    write_job()
    row = {"id": "r0", "request": {"input": [odd]}}
    Path("rows.jsonl").write_text(json.dumps(row) + "\n")
    assert "to send: 1 interaction\n" in batchrun("plan", "job.json")


@pytest.mark.parametrize(("approve", "interactions"), [("auto", 4), ("hold", 2)])
def test_a_plan_and_its_report_are_two_interactions_and_a_plan_that_waits_is_one(
    approve: str, interactions: int
) -> None:
    config = {"type": "deep-research", "collaborative_planning": True}
    told = plan(agent="deep-research-preview-04-2026", input="a", agent_config=config, approve=approve)
    assert told["interactions"] == {"at_least": interactions, "at_most": interactions}
    assert any("each that you approve" in text for text in told["not_counted"]) == (approve == "hold")


@pytest.mark.parametrize("name", JOBS)
def test_every_job_sends_what_its_plan_says(name: str, tmp_path: Path) -> None:
    path, own = FOLDER / f"{name}.yaml", OWN.get(name, ())
    told = json.loads(batchrun("plan", str(path), *own, "--run-dir", str(tmp_path / "run"), "--limit", "3", "--json"))
    fast = ("--latency", "0ms", *FAST, *own, "--quiet")
    batchrun("run", str(path), "--emulator", "--run-dir", str(tmp_path / "run"), "--limit", "3", *fast)
    with Reader(tmp_path / "run" / "run.db") as reader:
        sent = sum(attempt.billed is True for attempt in reader.attempts())
    most = told["interactions"]["at_most"]
    assert (most is None) == (name in PIPELINES)  # what follows from answers cannot be counted before
    assert told["interactions"]["at_least"] <= sent <= (sent if most is None else most)


# -- runs that stopped half-way ----------------------------------------------------------------------------------------


def test_an_approved_plan_is_to_be_sent_and_is_not_said_to_be_in_flight() -> None:
    write_job(
        agent="deep-research-preview-04-2026",
        input="{{ q }}",
        agent_config={"type": "deep-research", "collaborative_planning": True},
        approve="hold",
    )
    run = ["run", "job.json", "--emulator", "--quiet", "--set", "poll.first=0"]
    assert CliRunner().invoke(commands, run).exit_code == Exit.ROWS_HELD
    batchrun("approve", "job.json", "--key", "r0")
    said = batchrun("plan", "job.json", "--emulator")
    assert "2 rows in the input, 1 to send" in said
    assert "1  begun or known" in said
    assert "1  reused: awaiting approval" in said
    assert "to send: 1 interaction\n" in said
    assert "in flight" not in said


@pytest.mark.parametrize("policy", ["resubmit", "hold"])
def test_what_a_dead_process_left_in_doubt_is_not_said_to_be_in_flight(tmp_path: Path, policy: str) -> None:
    said = Counter[str]()
    for commit in range(1, 6):  # at the sixth all turns are answered
        job = interview(tmp_path / str(commit), rows=1, store=False)
        job.spec["retry"] = {"ambiguous": {"model": policy}}
        with death(commit, before=False):
            job.run()
        told = json.loads(batchrun("plan", str(job.write()), "--emulator", "--json"))
        (standing,) = told["standing"]
        said[standing] += 1
        posts = job.run().summary.posts_this_run
        assert (told["to_send"] > 0) is (posts > 0), (commit, standing)
        assert told["interactions"]["at_least"] in (posts, None), "what is still to be sent, not the whole"
    assert set(said) <= {"pending", "to hold" if policy == "hold" else "in doubt"}
    assert len(said) == 2


def test_a_conversation_that_goes_on_is_priced_and_shown_from_where_it_stands(tmp_path: Path) -> None:
    job = interview(tmp_path, rows=2, store=False)
    whole = json.loads(batchrun("plan", str(job.write()), "--emulator", "--json"))
    job.run(faults="429_daily:#5")
    told = json.loads(batchrun("plan", str(job.write()), "--emulator", "--json", "--show", "1"))
    assert (told["to_send"], told["interactions"]) == (2, {"at_least": 2, "at_most": 2})
    assert told["estimated_input_tokens"] < whole["estimated_input_tokens"]
    (shown,) = told["requests"]
    assert shown["exchange"] == 2
    assert shown["request"]["input"][-1]["content"][0]["text"] == "Sum up r0."
    assert "not known yet" not in json.dumps(shown)
    said = batchrun("plan", str(job.write()), "--emulator", "--show", "1")
    assert "row r0, request 3 of 3:" in said
    assert "2  begun or known; figures count what is still to be sent" in said


def test_what_a_tool_loop_still_sends_is_within_what_the_plan_says_wherever_it_was_broken_off(tmp_path: Path) -> None:
    ranges = set[tuple[int, int]]()
    for commit in range(1, 8):
        (tmp_path / str(commit)).mkdir()
        job = weather(tmp_path / str(commit), rows=1, store=False, function_calling={"interrupted": "rerun"})
        with death(commit, before=False):
            job.run()
        told = json.loads(batchrun("plan", str(job.write()), "--emulator", "--json"))
        least, most = told["interactions"]["at_least"], told["interactions"]["at_most"]
        posts = job.run().summary.posts_this_run
        if told["to_send"]:
            assert least <= posts <= most, commit
            ranges.add((least, most))
    assert ranges == {(1, 11), (1, 10)}, "a round that is over is not counted again"


def test_posts_in_doubt_beyond_the_allowance_are_said_to_be_held(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=5, retry={"ambiguous": {"max_resubmits": 2}})
    with death(2, before=True):
        job.run()
    told = json.loads(batchrun("plan", str(job.write()), "--emulator", "--json"))
    assert told["standing"] == {"in doubt": 2, "beyond allowance": 3}
    assert (told["to_send"], told["interactions"]) == (2, {"at_least": 2, "at_most": 2})
    said = batchrun("plan", str(job.write()), "--emulator")
    assert "3  in doubt, too, and beyond that allowance (`max_resubmits`): not sent again, but held" in said
    summary = job.run().summary
    assert (summary.posts_this_run, summary.ambiguous) == (2, 3)


# -- rows that cannot be sent ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "turn",
    ["{{ q / 0 }}", "{{ q.there.not }}", [{"type": "document", "path": "{{ q }}.pdf"}]],
    ids=["an operation", "a field", "a file"],
)
def test_a_later_turn_that_always_fails_is_a_row_s_error_as_the_first_would_be(turn: Any) -> None:
    said = []
    for number in (0, 1):
        write_job(turns=["{{ q }}", turn] if number else [turn, "{{ q }}"])
        plan, validate = (CliRunner().invoke(commands, [name, "job.json"]) for name in ("plan", "validate"))
        assert (plan.exit_code, validate.exit_code) == (Exit.OK, Exit.BAD_INPUT)
        assert "2 rows read, 0 rendered; nothing was sent" in validate.stdout
        assert "to send: 2 interaction" not in plan.stdout
        said.append([line.replace("turns[1]: ", "") for line in plan.stdout.splitlines() if "problem:" in line])
    assert len(said[0]) == 2
    assert said[0] == said[1]


def test_rows_whose_later_turn_always_fails_are_not_paid_for() -> None:
    write_job(turns=["{{ q }}", "{{ q / 0 }}"])
    done = CliRunner().invoke(commands, ["run", "job.json", "--emulator", "--quiet"])
    assert done.exit_code == Exit.SOME_ROWS_FAILED
    assert "0 POSTs" in done.stdout


@pytest.mark.parametrize("turn", ["{{ 10 / (answers[0] | int) }}", "{{ 10 / (row.answers[0] | int) }}"])
def test_a_later_turn_that_depends_on_an_answer_is_no_error_before_there_is_one(turn: str) -> None:
    told = plan(turns=["{{ q }}", turn])
    assert (told["problems"], told["to_send"]) == ([], 2)
    assert "division by zero" in told["not_counted"][0]


def test_only_rows_that_could_be_rendered_are_counted_as_such() -> None:
    write_job(rows=4, input="{{ 1 / (q[-1:] | int) }}")
    assert "4 rows read, 3 rendered" in CliRunner().invoke(commands, ["validate", "job.json"]).stdout
    assert "estimated from 3 rendered rows" in batchrun("plan", "job.json")
