"""A conversation of several interactions, read as the answers it gave."""

from __future__ import annotations

from typing import Any

import pytest

from batchrun.interactions.models import Interaction, merged
from batchrun.interactions.turns import answers_of, last_answer


def said(text: str, status: str = "completed", **fields: Any) -> Interaction:
    steps = [{"type": "model_output", "content": [{"type": "text", "text": text}]}]
    return Interaction({"id": text, "status": status, "steps": steps, **fields})


def test_the_hops_of_one_answer_are_joined_in_their_order() -> None:
    hops = [said("one ", "requires_continuation"), said("two ", "requires_continuation"), said("three", usage={"a": 1})]
    whole = merged(hops)
    assert whole.output_text == "one two three"
    assert (whole.id, whole.status, whole.usage) == ("three", "completed", {"a": 1})


def test_only_the_hops_that_lead_to_the_last_interaction_are_its_answer() -> None:
    history = [said("first"), said("se", "requires_continuation"), said("cond")]
    assert last_answer(history).output_text == "second"
    assert last_answer(history[:1]).output_text == "first"


def test_an_answer_that_was_never_continued_is_what_there_is_of_it() -> None:
    assert last_answer([said("a", "requires_continuation"), said("b", "requires_continuation")]).output_text == "ab"


def test_rounds_of_function_calls_and_hops_belong_to_the_turn_that_they_end_in() -> None:
    history = [
        (0, said("one")),
        (1, said("I call", "requires_action")),
        (1, said("and again", "requires_action")),
        (1, said("tw", "requires_continuation")),
        (1, said("o")),
        (2, said("three", "incomplete")),
    ]
    assert answers_of(history) == ["one", "two", "three"]


def test_a_research_plan_is_no_answer_to_its_turn_once_it_is_carried_out() -> None:
    history = [(0, said("a plan")), (0, said("a report")), (1, said("a summary"))]
    assert answers_of(history[:1]) == ["a plan"]
    assert answers_of(history) == ["a report", "a summary"]


def test_a_turn_that_is_not_answered_yet_has_no_answer() -> None:
    assert answers_of([(0, said("one")), (1, said("I call", "requires_action"))]) == ["one"]
    assert answers_of([(0, Interaction({"status": "completed"})), (1, said("two"))]) == [None, "two"]
    assert answers_of([]) == []


def test_only_the_steps_since_the_last_input_are_an_interactions_own() -> None:
    steps = [{"type": "model_output"}, 7, {"type": "user_input"}, {"type": "thought"}, {"type": "model_output"}]
    assert [step["type"] for _, step in Interaction({"steps": steps}).own_steps] == ["thought", "model_output"]
    assert Interaction({"steps": "odd"}).own_steps == []


def test_an_answer_in_the_older_form_has_its_outputs_as_a_step() -> None:
    old = Interaction({"outputs": [{"type": "text", "text": "la la"}, {"type": "audio", "data": "AAAA"}]})
    assert old.steps[0]["content"][1]["type"] == "audio"
    assert Interaction({"outputs": [{"type": "text", "text": "la la"}]}).output_text == "la la"


@pytest.mark.parametrize("odd", [["image"], {"a": 1}, None, 7])
def test_odd_types_and_ids_are_read_over(odd: object) -> None:
    output = {"type": "model_output", "content": [{"type": odd, "data": "AAAA"}, {"type": "text", "text": "x"}]}
    result = {"type": "function_result", "call_id": odd, "result": "x"}
    found = Interaction({"steps": [{"type": odd}, result, output, {"type": "function_call", "id": odd, "name": odd}]})
    assert not found.has_media
    assert [call.id for call in found.function_calls] == ["call-0"]
