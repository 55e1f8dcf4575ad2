"""What one poll says, and how long an interaction is waited for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchrun.engine import polling
from batchrun.engine.polling import (
    Answer,
    Denied,
    Foreign,
    NoAnswer,
    NotFound,
    Patience,
    Poll,
    Running,
    Verdict,
    of_poll,
)
from batchrun.interactions.evidence import Lost, NotSent, Reply
from batchrun.interactions.models import STOP_STATUSES, Interaction
from batchrun.spec.model import JobSpec


def poll(http: int = 200, /, **body: object) -> Poll:
    return of_poll(Reply(http, json.dumps(body).encode()), "v1_a", 0.0)


def error(status: int, code: str, **more: object) -> Poll:
    return poll(status, error={"code": code, "message": "no", **more})


@pytest.mark.parametrize("status", sorted(STOP_STATUSES))
def test_a_stopped_interaction_is_the_answer(status: str) -> None:
    assert isinstance(poll(id="v1_a", status=status), Answer)


@pytest.mark.parametrize("status", ["queued", "in_progress", "brewing_tea"])
def test_any_other_status_is_waited_for(status: str) -> None:
    assert poll(id="v1_a", status=status) == Running(status)
    assert poll(id="v1_a") == Running("without a status")


def test_another_interaction_than_ours_is_no_answer() -> None:
    assert isinstance(poll(id="v1_b", status="completed"), NoAnswer)
    assert isinstance(labelled(None, id="v1_b"), NoAnswer)


def labelled(label: object, **body: object) -> Poll:
    shown = {"id": "v1_a", "status": "completed", "labels": {"batchrun-intent": label}, **body}
    return of_poll(Reply(200, json.dumps(shown).encode()), "v1_a", 0.0, "br1-ours")


def test_the_label_tells_whose_an_interaction_is_and_the_id_does_not() -> None:
    assert isinstance(labelled("br1-ours", id="v1_b"), Answer)
    assert isinstance(labelled("br1-ours", id="v1_b", status="queued"), Running)
    assert isinstance(labelled("br1-theirs"), Foreign)
    assert isinstance(labelled("br1-theirs", status="in_progress"), Foreign)


@pytest.mark.parametrize("shown", [{}, {"labels": None}, {"labels": [1]}, {"labels": {"batchrun-intent": 7}}])
def test_a_service_that_shows_no_label_is_believed_by_its_id(shown: dict[str, object]) -> None:
    assert isinstance(labelled(None, **shown), Answer)


def test_failures_of_the_poll_are_no_answer_and_keep_the_servers_delay() -> None:
    info = [{"retryDelay": "9s"}]
    assert error(429, "rate_limit_exceeded", details=info) == NoAnswer("HTTP 429 rate_limit_exceeded: no", 9.0)
    for call in (Lost("reset"), NotSent("no route"), Reply(502, b"<html>"), Reply(200, b"<html>"), Reply(404, b"?")):
        assert isinstance(of_poll(call, "v1_a", 0.0), NoAnswer)


def test_an_unknown_id_and_a_bad_key_are_told_apart() -> None:
    assert isinstance(error(404, "not_found"), NotFound)
    assert isinstance(error(403, "permission_denied"), NotFound)
    assert isinstance(error(401, "authentication"), Denied)
    assert isinstance(error(400, "invalid", details=[{"reason": "API_KEY_INVALID"}]), Denied)


def answer(**data: object) -> Answer:
    return Answer(b"", Interaction({"status": "completed", **data}))


def patience(started: float = 0.0, deadline: float = 1000.0, calls: int = 3) -> Patience:
    spec: dict[str, Any] = {
        "name": "x",
        "input": {"path": "x"},
        "poll": {"deadline": deadline},
        "retry": {"calls": calls},
    }
    return Patience(JobSpec.model_validate(spec), started, submitted=0.0)


def test_missing_usage_is_waited_for_but_not_for_ever() -> None:
    waiting = patience()
    assert waiting.judge(answer(), 10.0) is Verdict.WAIT
    assert waiting.judge(answer(), 10.0 + polling.USAGE_GRACE) == answer()
    complete = answer(usage={"total_tokens": 3})
    assert patience().judge(complete, 10.0) == complete


def test_an_unknown_id_is_lost_only_after_the_grace() -> None:
    waiting = patience(deadline=10.0)
    assert waiting.judge(NotFound("no"), 100.0) is Verdict.WAIT
    assert waiting.judge(Running("in_progress"), 9.0) is Verdict.WAIT
    assert waiting.judge(NotFound("no"), 100.0) is Verdict.WAIT
    assert waiting.judge(NotFound("no"), 99.0 + polling.NOT_FOUND_GRACE) is Verdict.WAIT
    assert waiting.judge(NotFound("no"), 100.0 + polling.NOT_FOUND_GRACE) is Verdict.LOST


def test_a_row_is_late_when_the_service_says_for_a_while_past_the_deadline_that_it_still_runs() -> None:
    waiting = patience(deadline=10.0)
    assert waiting.judge(Running("in_progress"), 9.0) is Verdict.WAIT
    assert waiting.judge(Running("in_progress"), 5000.0) is Verdict.WAIT
    assert waiting.judge(Running("in_progress"), 5001.0) is Verdict.WAIT
    assert waiting.judge(Running("in_progress"), 5000.0 + polling.LATE_GRACE) is Verdict.LATE


def test_only_a_series_of_failed_polls_past_the_deadline_ends_the_wait() -> None:
    waiting = patience(deadline=10.0, calls=3)
    assert [waiting.judge(NoAnswer("reset"), 9.0) for _ in range(5)] == [Verdict.WAIT] * 5
    assert waiting.judge(Running("in_progress"), 9.5) is Verdict.WAIT
    verdicts = [waiting.judge(NoAnswer("reset"), now) for now in (11.0, 12.0, 13.0)]
    assert verdicts == [Verdict.WAIT, Verdict.WAIT, Verdict.UNREACHABLE]
    assert waiting.silent_since == 11.0


def test_answers_that_cannot_be_used_are_about_the_row_not_about_the_service() -> None:
    waiting = patience(deadline=0.0, calls=1)
    assert waiting.judge(NoAnswer("another id", answered=True), 1.0) is Verdict.UNUSABLE


def test_a_row_resumed_after_its_deadline_is_polled_before_it_is_given_up() -> None:
    assert patience(started=5000.0, deadline=10.0).judge(answer(usage={}), 5000.0) == answer(usage={})
