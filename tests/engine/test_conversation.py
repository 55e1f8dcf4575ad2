"""What to do next is a pure function of what has happened: a table of every transition."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batchrun.engine.bodies import Bodies
from batchrun.engine.conversation import (
    Again,
    Continue,
    Decision,
    Exchange,
    RunFunctions,
    Script,
    SendResults,
    SendTurn,
    SendWord,
    Word,
    after,
    answers,
    turn_of,
)
from batchrun.interactions.models import FunctionCall, Interaction
from batchrun.rows import Finish, Outcome
from batchrun.spec.load import load_job


def interaction(text: str | None = None, status: str = "completed", **fields: Any) -> Interaction:
    content = [] if text is None else [{"type": "text", "text": text}]
    steps = [{"type": "thought", "signature": "c2ln"}, {"type": "model_output", "content": content}]
    return Interaction({"id": "v1_a", "status": status, "steps": steps, **fields})


def calling(*names: str) -> Interaction:
    calls = [{"type": "function_call", "id": f"id-{name}", "name": name, "arguments": {"x": 1}} for name in names]
    return Interaction({"id": "v1_a", "status": "requires_action", "steps": calls})


def broken_off(text: str, token: str | None = "t") -> Interaction:
    return interaction(text, "requires_continuation", continuation_token=token)


F, G = (FunctionCall(f"id-{name}", name, {"x": 1}) for name in "fg")
RESULT = {"type": "function_result", "call_id": "id-f", "name": "f", "result": "1"}
FUNCTIONS = Script(functions=True, rounds=2)
PLANS = Script(plans=True, approve="hold")


def talk(*found: Interaction | Exchange) -> list[Exchange]:
    exchanges = [each if isinstance(each, Exchange) else Exchange(0, each) for each in found]
    return [replace(exchange, attempt_id=number) for number, exchange in enumerate(exchanges, 1)]


def carried_out(*names: str) -> Exchange:
    return Exchange(0, calling(*names), (RESULT,))


def said(text: str, *, go: bool) -> Exchange:
    return Exchange(0, interaction("a plan"), word=Word(go, text))


def no_problem(_answer: object) -> list[str]:
    return []


def decide(found: Interaction, attempts_left: int = 0, **options: Any) -> Decision:
    return after(talk(found), Script(), options.get("check"), attempts_left=attempts_left)


def kind_of(decision: Decision) -> tuple[Outcome, str | None]:
    assert isinstance(decision, Finish)
    return decision.outcome, decision.kind


TRANSITIONS: list[tuple[Script, list[Exchange], Decision]] = [
    (Script(), [], SendTurn(0)),
    (Script(turns=2), talk(interaction("one")), SendTurn(1)),
    (Script(turns=2), talk(interaction("one"), interaction("two")), Finish(Outcome.SUCCEEDED)),
    (FUNCTIONS, talk(calling("f", "g")), RunFunctions((F, G))),
    (FUNCTIONS, talk(carried_out("f")), SendResults((RESULT,))),
    (FUNCTIONS, talk(carried_out("f"), interaction("done")), Finish(Outcome.SUCCEEDED)),
    (FUNCTIONS, talk(carried_out("f"), calling("g")), RunFunctions((G,))),
    (replace(FUNCTIONS, turns=2), talk(carried_out("f"), interaction("one")), SendTurn(1)),
    (Script(), talk(broken_off("ha")), Continue("t")),
    (Script(), talk(broken_off("ha", "t"), broken_off("l", "u")), Continue("u")),
    (Script(), talk(broken_off("ha"), interaction("lf")), Finish(Outcome.SUCCEEDED)),
    (Script(turns=2), talk(broken_off("ha"), interaction("lf")), SendTurn(1)),
    (Script(plans=True), talk(interaction("a plan")), SendWord(Word(go=True))),
    (Script(plans=True), talk(interaction("a plan"), interaction("report")), Finish(Outcome.SUCCEEDED)),
    (PLANS, talk(said("shorter", go=False)), SendWord(Word(False, "shorter"))),
    (PLANS, talk(said("", go=True)), SendWord(Word(True, ""))),
    (PLANS, talk(said("shorter", go=False), said("", go=True), interaction("report")), Finish(Outcome.SUCCEEDED)),
]  # fmt: skip


@pytest.mark.parametrize(("script", "exchanges", "decision"), TRANSITIONS)
def test_every_transition(script: Script, exchanges: list[Exchange], decision: Decision) -> None:
    assert after(exchanges, script, None) == decision


ENDS: list[tuple[Script, list[Exchange], Outcome, str]] = [
    (Script(turns=2), talk(interaction("")), Outcome.INVALID_OUTPUT, "empty_output"),
    (Script(turns=2), talk(interaction("half", "incomplete")), Outcome.INCOMPLETE, "incomplete"),
    (FUNCTIONS, talk(carried_out("f"), carried_out("f"), calling("f")), Outcome.FAILED, "too_many_rounds"),
    (FUNCTIONS, talk(interaction(None, "requires_action")), Outcome.FAILED, "requires_action"),
    (Script(), talk(calling("f")), Outcome.FAILED, "requires_action"),
    (Script(), talk(broken_off("ha", None)), Outcome.INCOMPLETE, "requires_continuation"),
    (Script(), talk(broken_off("ha"), broken_off("l", "t")), Outcome.INCOMPLETE, "requires_continuation"),
    (Script(), talk(*(broken_off("a", str(n)) for n in range(33))), Outcome.INCOMPLETE, "requires_continuation"),
    (Script(), talk(interaction("half", "incomplete")), Outcome.INCOMPLETE, "incomplete"),
    (Script(), talk(interaction("half", "budget_exceeded")), Outcome.INCOMPLETE, "budget_exceeded"),
    (Script(), talk(interaction("x", "cancelled")), Outcome.FAILED, "cancelled"),
    (PLANS, talk(interaction("a plan")), Outcome.AWAITING_APPROVAL, "awaiting_approval"),
    (PLANS, talk(said("x", go=False), interaction("plan 2")), Outcome.AWAITING_APPROVAL, "awaiting_approval"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "exchanges", "outcome", "kind"), ENDS)
def test_every_end_that_is_no_success(script: Script, exchanges: list[Exchange], outcome: Outcome, kind: str) -> None:
    assert kind_of(after(exchanges, script, None)) == (outcome, kind)


def test_rounds_of_calls_are_counted_in_each_turn_anew() -> None:
    script = replace(FUNCTIONS, turns=2)
    exchanges = talk(carried_out("f"), carried_out("f"), interaction("one"), carried_out("f"), calling("f"))
    assert isinstance(after(exchanges, script, None), RunFunctions)


def test_an_answer_in_hops_is_judged_whole() -> None:
    hops = talk(broken_off('{"a":'), interaction(" 1}"))
    judged: list[object] = []
    assert after(hops, Script(), lambda answer: judged.append(answer) or []) == Finish(Outcome.SUCCEEDED)
    assert judged == [{"a": 1}]


def test_templates_see_the_text_that_answered_each_turn() -> None:
    script = Script(turns=3, functions=True)
    exchanges = talk(carried_out("f"), interaction("one"), broken_off("t"), interaction("wo"))
    assert answers(exchanges, script) == ["one", "two"]
    assert turn_of(exchanges, script) == 1


def test_work_on_a_conversation_grows_no_faster_than_the_conversation(tmp_path: Path) -> None:
    turns = [{"input": "one"}, *({"input": "{{ answers | last }}"} for _ in range(80))]
    request = {"model": "gemini-3.5-flash", "store": False, "turns": turns}
    (tmp_path / "rows.jsonl").write_text("{}\n")
    (tmp_path / "job.json").write_text(
        json.dumps({"name": "long", "input": {"path": "rows.jsonl"}, "request": request})
    )
    bodies = Bodies(load_job(tmp_path / "job.json"), {}, Script(turns=len(turns)), tmp_path)
    exchanges = talk(*(interaction("said") for _ in range(80)))

    def steps_for(count: int) -> int:
        return calls_made(lambda: bodies.body(exchanges[:count], SendTurn(count)))

    assert len(bodies.body(exchanges, SendTurn(80))["input"]) == 80 * 3 + 1
    assert steps_for(80) < 2.2 * steps_for(40)


def calls_made(work: Callable[[], object]) -> int:
    """How many calls of Python functions the work takes."""
    events: list[str] = []
    before = sys.getprofile()
    sys.setprofile(lambda _frame, event, _argument: events.append(event))
    try:
        work()
    finally:
        sys.setprofile(before)
    return events.count("call")


def test_only_the_last_turn_is_checked() -> None:
    wrong = lambda _answer: ["wrong"]  # noqa: E731
    assert after(talk(interaction("no json")), Script(turns=2), wrong) == SendTurn(1)
    assert kind_of(after(talk(interaction("x"), interaction("{}")), Script(turns=2), wrong))[1] == "schema_mismatch"


def test_a_completed_interaction_with_text_succeeds() -> None:
    assert decide(interaction("hello")) == Finish(Outcome.SUCCEEDED)


@pytest.mark.parametrize("kind", ["image", "audio", "video", "document"])
def test_a_medium_is_an_output_too(kind: str) -> None:
    found = Interaction({"status": "completed", "steps": [{"type": "model_output", "content": [{"type": kind}]}]})
    assert decide(found) == Finish(Outcome.SUCCEEDED)
    assert kind_of(decide(found, check=no_problem)) == (Outcome.INVALID_OUTPUT, "empty_output")


def test_text_is_judged_by_the_check() -> None:
    assert kind_of(decide(interaction("[1]"), check=no_problem)) == (Outcome.SUCCEEDED, None)
    complaints = decide(interaction("[1]"), check=lambda answer: [f"{answer} is wrong"])
    assert complaints == Finish(Outcome.INVALID_OUTPUT, "schema_mismatch", "[1] is wrong")


@pytest.mark.parametrize("text", ["", "not json", "```json\n{}\n```", "[" * 100_000, '{"a": NaN}', '{"a":1,"a":2}'])
def test_an_answer_that_is_not_json_is_an_outcome_of_its_own(text: str) -> None:
    outcome, kind = kind_of(decide(interaction(text), check=no_problem))
    assert outcome is Outcome.INVALID_OUTPUT
    assert kind in ("not_json", "empty_output")


def test_completed_without_output_is_not_a_success() -> None:
    assert kind_of(decide(interaction(None))) == (Outcome.INVALID_OUTPUT, "empty_output")
    assert kind_of(decide(Interaction({"status": "completed"}))) == (Outcome.INVALID_OUTPUT, "empty_output")
    assert kind_of(decide(Interaction({"status": "completed", "steps": [7, {}]}))) == (
        Outcome.INVALID_OUTPUT,
        "empty_output",
    )


def test_only_the_last_run_of_text_counts() -> None:
    steps = [
        {"type": "model_output", "content": [{"type": "text", "text": "old"}]},
        {"type": "user_input", "content": "again"},
        {"type": "model_output", "content": [{"type": "text", "text": "before the search"}]},
        {"type": "google_search_call", "id": "c"},
        {"type": "model_output", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ]
    assert Interaction({"steps": steps}).output_text == "ab"


def test_a_failure_of_the_service_is_tried_again_while_attempts_are_left() -> None:
    passing = interaction(status="failed", errors=[{"code": "api_error", "message": "oops"}])
    assert decide(passing, attempts_left=1) == Again("api_error: oops")
    assert kind_of(decide(passing, attempts_left=0)) == (Outcome.FAILED, "api_error")
    assert isinstance(decide(interaction(status="failed"), attempts_left=1), Again)


@pytest.mark.parametrize("status", ["failed", "incomplete", "completed"])
def test_refused_content_is_told_apart_and_never_paid_for_again(status: str) -> None:
    blocked = interaction(status=status, errors=[{"code": "safety", "message": "blocked"}])
    assert decide(blocked, attempts_left=5) == Finish(Outcome.BLOCKED, "safety", "blocked")


def test_a_call_without_an_id_is_answered_by_its_place() -> None:
    call = {"type": "function_call", "name": "f", "arguments": {}}
    found = Interaction({"status": "requires_action", "steps": [call, {**call, "id": None}]})
    assert [each.id for each in found.function_calls] == ["call-0", "call-1"]
