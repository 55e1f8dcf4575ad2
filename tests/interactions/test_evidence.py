"""What a POST's answer proves about money."""

from __future__ import annotations

import json

import pytest

from batchrun.interactions.evidence import Ambiguous, Call, Lost, NotSent, Refused, Reply, Submitted, of_post
from batchrun.interactions.models import ApiError

NOW = 1_795_352_400.0


def reply(status: int, body: object, **headers: str) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, raw, {name.replace("_", "-"): value for name, value in headers.items()})


def error(status: int, code: str, classic: int | None = None) -> Reply:
    if classic is not None:
        return reply(status, {"error": {"code": classic, "status": code, "message": "no"}})
    return reply(status, {"error": {"code": code, "message": "no"}})


@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_complete_answer_with_an_id_is_submitted(status: int) -> None:
    found = of_post(reply(status, {"id": "v1_abc-DEF_9", "status": "in_progress"}), NOW)
    assert isinstance(found, Submitted)
    assert found.interaction_id == "v1_abc-DEF_9"


@pytest.mark.parametrize(
    "call",
    [
        Lost("reset by peer"),
        reply(200, b""),
        reply(200, b'{"id":"v1_ab'),
        reply(200, b"<html>hello</html>"),
        reply(200, {"status": "in_progress"}),
        reply(200, {"id": "../../etc"}),
        reply(200, {"id": "a" * 300}),
        reply(200, {"id": 7}),
        reply(200, [1]),
        reply(200, b'"\\ud800"'),
        reply(200, b"[" * 100_000),
        reply(201, {"id": ""}),
        reply(302, b""),
        reply(408, b""),
        error(500, "api_error"),
        error(502, "bad_gateway"),
        error(502, "unavailable"),
        error(504, "deadline_exceeded"),
        reply(502, b"<html>Bad Gateway</html>"),
        reply(503, b"<html>Service Unavailable</html>"),
        reply(429, b"slow down"),
        error(503, "api_error"),
    ],
)
def test_everything_in_doubt_is_ambiguous(call: Call) -> None:
    assert isinstance(of_post(call, NOW), Ambiguous)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 413, 422, 429])
def test_an_error_envelope_with_a_refusing_status_is_a_refusal(status: int) -> None:
    assert isinstance(of_post(error(status, "some_code"), NOW), Refused)
    assert isinstance(of_post(error(status, "SOME_STATUS", classic=status), NOW), Refused)
    wrapped = reply(status, [{"error": {"code": status, "status": "SOME_STATUS", "message": "no"}}])
    found = of_post(wrapped, NOW)
    assert isinstance(found, Refused)
    assert found.error.code == "some_status"


def test_unavailable_is_a_refusal_in_both_vocabularies() -> None:
    assert isinstance(of_post(error(503, "service_unavailable"), NOW), Refused)
    assert isinstance(of_post(error(503, "UNAVAILABLE", classic=503), NOW), Refused)


def test_a_request_that_never_left_is_not_sent() -> None:
    assert of_post(NotSent("no address"), NOW) == NotSent("no address")


def delay_of(call: Reply) -> float | None:
    found = of_post(call, NOW)
    assert isinstance(found, Refused)
    return found.retry_after


def test_the_longer_of_the_servers_two_delays_counts() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "22.5s"}
    body = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "no", "details": [info]}}
    assert delay_of(reply(429, body)) == 22.5
    assert delay_of(reply(429, body, retry_after="60")) == 60
    assert delay_of(reply(429, body, retry_after="7")) == 22.5
    assert delay_of(reply(429, body, retry_after="Sun, 22 Nov 2026 13:02:00 GMT")) == 120
    assert delay_of(reply(429, body, retry_after="soon")) == 22.5
    assert delay_of(error(429, "too_many_requests")) is None


@pytest.mark.parametrize("garbage", [b"\xff\xfe", b"{", b"null", b'{"error": 1}', b'{"error": {"details": [1, {}]}}'])
def test_no_body_makes_the_classifier_fail(garbage: bytes) -> None:
    for status in (200, 400, 429, 503):
        of_post(reply(status, garbage), NOW)


@pytest.mark.parametrize(
    ("code", "kind"), [("x" * 5_000, "x" * 100), ([[["a"]]], "unknown"), (404, "404"), ("", "unknown")]
)
def test_the_code_of_an_error_is_short_text_whatever_it_was(code: object, kind: str) -> None:
    assert ApiError.of({"code": code, "message": "no"}).code == kind


@pytest.mark.parametrize("waits", [False, True])
def test_an_answer_with_the_label_of_another_request_is_not_this_ones(waits: bool) -> None:
    said = {"id": "v1_abc", "status": "completed", "labels": {"batchrun-intent": "another"}}
    assert isinstance(of_post(reply(200, said), NOW, waits=waits, intent_key="own"), Ambiguous)
    own = {**said, "labels": {"batchrun-intent": "own"}}
    assert not isinstance(of_post(reply(200, own), NOW, waits=waits, intent_key="own"), Ambiguous)
    assert not isinstance(of_post(reply(200, {**said, "labels": None}), NOW, waits=waits, intent_key="own"), Ambiguous)
