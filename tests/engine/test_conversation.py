"""What to do next is a pure function of what has happened."""

from __future__ import annotations

from typing import Any

import pytest

from batchrun.engine.conversation import Again, Decision, after
from batchrun.interactions.models import Interaction
from batchrun.rows import Finish, Outcome


def interaction(text: str | None = None, status: str = "completed", **fields: Any) -> Interaction:
    content = [] if text is None else [{"type": "text", "text": text}]
    steps = [{"type": "thought", "signature": "c2ln"}, {"type": "model_output", "content": content}]
    return Interaction({"id": "v1_a", "status": status, "steps": steps, **fields})


def no_problem(_answer: object) -> list[str]:
    return []


def decide(found: Interaction, attempts_left: int = 0, **options: Any) -> Decision:
    return after(found, options.get("check"), attempts_left=attempts_left)


def kind_of(decision: Decision) -> tuple[Outcome, str | None]:
    assert isinstance(decision, Finish)
    return decision.outcome, decision.kind


def test_a_completed_interaction_with_text_succeeds() -> None:
    assert decide(interaction("hello")) == Finish(Outcome.SUCCEEDED)


def test_text_is_judged_by_the_check() -> None:
    assert kind_of(decide(interaction("[1]"), check=no_problem)) == (Outcome.SUCCEEDED, None)
    complaints = decide(interaction("[1]"), check=lambda answer: [f"{answer} is wrong"])
    assert complaints == Finish(Outcome.INVALID_OUTPUT, "schema_mismatch", "[1] is wrong")


@pytest.mark.parametrize("text", ["", "not json", "```json\n{}\n```", "[" * 100_000, '{"a": NaN}', '{"a":1,"a":2}'])
def test_an_answer_that_is_not_json_is_an_outcome_of_its_own(text: str) -> None:
    outcome, kind = kind_of(decide(interaction(text), check=no_problem))
    assert outcome is Outcome.INVALID_OUTPUT
    assert kind in ("not_json", "empty_output")


def test_completed_without_text_is_not_a_success() -> None:
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


@pytest.mark.parametrize("status", ["incomplete", "budget_exceeded", "requires_continuation"])
def test_a_cut_off_answer_fails_under_the_name_of_its_status(status: str) -> None:
    assert kind_of(decide(interaction("half an ans", status))) == (Outcome.FAILED, status)


def test_a_failure_of_the_service_is_tried_again_while_attempts_are_left() -> None:
    passing = interaction(status="failed", errors=[{"code": "api_error", "message": "oops"}])
    assert decide(passing, attempts_left=1) == Again("api_error: oops")
    assert kind_of(decide(passing, attempts_left=0)) == (Outcome.FAILED, "api_error")
    assert isinstance(decide(interaction(status="failed"), attempts_left=1), Again)


def test_a_blocked_answer_is_never_paid_for_again() -> None:
    blocked = interaction(status="failed", errors=[{"code": "safety", "message": "blocked"}])
    assert kind_of(decide(blocked, attempts_left=5)) == (Outcome.FAILED, "safety")


def test_a_function_call_without_tools_fails_by_name() -> None:
    assert kind_of(decide(interaction(status="requires_action"))) == (Outcome.FAILED, "requires_action")
