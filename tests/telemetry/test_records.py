"""What a record of the log says, and what it can never be made to say."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from batchrun.engine.events import (
    AlertFailed,
    Called,
    Ended,
    Event,
    Expiring,
    Landed,
    Listening,
    Paused,
    Polled,
    PollFailed,
    Posted,
    RowEnded,
    Salvaged,
    Started,
    Steered,
    Stopping,
    Telling,
    UploadFailed,
    WebhooksCame,
)
from batchrun.errors import LockedError
from batchrun.outputs.summary import CLASSES, Summary
from batchrun.rows import Outcome
from batchrun.telemetry.records import (
    ACTIONS,
    Level,
    document,
    failure,
    is_beneath,
    json_line,
    lost,
    record_of,
    text_line,
)

AT = 1_795_352_400.25
SUMMARY = Summary(
    run_id="ab",
    job="sums",
    rows=2,
    in_flight=0,
    attempts=2,
    posts=2,
    posts_this_run=2,
    **{**dict.fromkeys(CLASSES, 0), "succeeded": 1, "failed": 1},
    polls=3,
    possibly_billed_twice=0,
    usage={"total_input_tokens": 7},
    errors={},
    elapsed_s=1.5,
    outputs={},
)
EVENTS: list[Event] = [
    Started(2, 0, run_id="ab", target="emulator"),
    Started(2, 1, run_id="ab", target="emulator", earlier=1),
    Expiring("soon"),
    Posted("r1", "submitted", "", "v1_a", 1, 0.25),
    Posted("r1", "refused", "", None, 1, 0.25, "HTTP 429 too_many_requests: slow down"),
    Salvaged("r1", "v1_a"),
    Polled("r1"),
    PollFailed("r1", "HTTP 503"),
    Landed("r1", 9, "", "v1_a", 2.0, 1, {"total_input_tokens": 7, "total_output_tokens": -1}),
    Called("r1", "price", {"secret": "what the function said"}, False),
    RowEnded("r1", Outcome.SUCCEEDED, None, None),
    RowEnded("r1", Outcome.FAILED, "bad_json", "why"),
    Paused(2.0, "HTTP 429"),
    UploadFailed("a.pdf", 2.0, "HTTP 500"),
    Stopping("Ctrl-C"),
    Steered("set, said by me", paused=True, limits={"limits.rpm": 60.0}),
    Listening("127.0.0.1:8080"),
    WebhooksCame(3, 1, 0),
    WebhooksCame(0, 0, 1),
    AlertFailed("HTTP 500"),
    Telling(),
    Ended(SUMMARY, 3),
]


def said(event: Event) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json_line(document(record_of(event), AT, "sums", "ab")))
    return found


def test_every_event_has_an_action_and_every_action_comes_of_something() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))
    others = [failure(LockedError("busy")), lost(3)]
    assert {record.action for record in (*map(record_of, EVENTS), *others)} == set(ACTIONS)


def test_a_record_says_when_which_run_which_row_and_what() -> None:
    head = {"time": "2026-11-22T13:00:00.250Z", "level": "warning", "job": "sums", "run": "ab"}
    row = {"row": "r1", "outcome": "failed", "class": "bad_json", "error": "why"}
    assert said(RowEnded("r1", Outcome.FAILED, "bad_json", "why")) == head | {"action": "row.ended"} | row
    posted = said(Posted("a:r1", "submitted", "a", "v1_a", 2, 0.25))
    assert (posted["stage"], posted["interaction"], posted["attempt"], posted["seconds"]) == ("a", "v1_a", 2, 0.25)


def test_the_end_of_a_run_is_told_with_its_counts() -> None:
    told = said(Ended(SUMMARY, 3, "The quota is used up"))
    assert (told["rows"], told["succeeded"], told["failed"], told["posts"], told["input_tokens"]) == (2, 1, 1, 2, 7)
    assert (told["exit_code"], told["stopped"], "blocked" in told) == (3, "The quota is used up", False)


def test_what_a_function_was_asked_or_said_is_in_no_record() -> None:
    assert "secret" not in json.dumps([said(event) for event in EVENTS])


def test_a_count_of_tokens_that_can_be_none_is_left_out() -> None:
    landed = said(EVENTS[8])
    assert (landed["tokens"], landed["input_tokens"], "output_tokens" in landed) == (9, 7, False)


@pytest.mark.parametrize("key", ['a\n{"action": "run.ended"}', "a\r\x1b[2J", "a\u2028b\u202ec", "\udc80", "\x00"])
def test_no_key_can_end_a_line_forge_a_record_or_move_a_cursor(key: str) -> None:
    record = document(record_of(PollFailed(key, key)), AT, "sums", "ab")
    line, text = json_line(record), text_line(record)
    assert (line.count("\n"), line.isascii(), json.loads(line)["row"]) == (1, True, key)
    assert (text[-1], text[:-1].isprintable()) == ("\n", True)


def test_a_long_key_or_message_is_cut() -> None:
    told = said(RowEnded("k" * 5000, Outcome.FAILED, "bad", "m" * 5000))
    assert max(map(len, told.values())) == 1001


def test_text_is_for_people_time_and_action_first() -> None:
    record = document(record_of(RowEnded("r 1", Outcome.FAILED, "bad", 'no "x"')), AT, "sums", "ab")
    assert text_line(record) == (
        "2026-11-22T13:00:00.250Z warning row.ended job=sums run=ab "
        'row="r 1" outcome=failed class=bad error="no \\"x\\""\n'
    )


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_what_a_level_need_not_look_at_has_no_record_of_that_level(event: Event) -> None:
    for level in Level:
        assert not is_beneath(level, event) or record_of(event).level < level
