"""When there is cause for an alert, judged from what answers took, and that each is told once to each target."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from batchrun.alerts.memory import Memory, memory_of
from batchrun.alerts.rules import Alert, Standing, alerts_of
from batchrun.spec.alerting import AlertsSpec
from batchrun.spec.model import JobSpec

NOW, HOUR = 1_795_352_400.0, 3600.0
WELL = Standing(NOW, {"succeeded": 90, "pending": 10}, 10, NOW - 60, typical=HOUR, observed=90, tokens=1000)


def rules(standing: Standing, **section: Any) -> dict[str, str]:
    """The alerts by rule of a job with this section."""
    to = [{"ping": "https://hc.example/x"}]
    spec = JobSpec.model_validate({"name": "n", "input": {"path": "-"}, "alerts": {"to": to, **section}})
    return {alert.rule: alert.message for alert in alerts_of(spec, standing)}


def test_a_run_that_goes_well_gives_no_cause() -> None:
    assert rules(WELL, no_row_in="6h", failure_rate="20%", tokens=5_000_000) == {}


def test_stuck_is_judged_from_what_answers_took() -> None:
    silent = replace(WELL, since=NOW - 2.9 * HOUR)
    assert rules(silent) == {}
    stuck = rules(replace(WELL, since=NOW - 3.1 * HOUR))["stuck"]
    judged = "more than 3h 00m: nearly all answers took less than 1h 00m"
    assert stuck == f"no row has ended for 3h 06m ({judged}), and 10 wait"
    assert "stuck" in rules(replace(silent, typical=60.0))
    assert rules(replace(WELL, since=NOW - 900, typical=60.0)) == {}  # the service may have asked for a pause


def test_before_anything_is_known_of_answers_a_run_is_stuck_when_rows_would_be_given_up() -> None:
    new = replace(WELL, observed=7, typical=1.0)
    assert rules(replace(new, since=NOW - 0.9 * HOUR)) == {}
    assert "nothing is known of answers" in rules(replace(new, since=NOW - 1.1 * HOUR))["stuck"]


def test_where_nothing_waits_nothing_is_stuck() -> None:
    done = replace(WELL, pending=0, outcomes={"succeeded": 100}, since=NOW - 100 * HOUR)
    assert rules(done, no_row_in="1h") == {}


def test_a_fixed_time_may_be_asked_for_in_addition() -> None:
    assert set(rules(replace(WELL, since=NOW - 2 * HOUR), no_row_in="1h", stuck=False)) == {"no_row_in"}


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        ({"succeeded": 15, "failed": 4}, False),  # too few to tell
        ({"succeeded": 16, "failed": 4}, True),
        ({"succeeded": 17, "failed": 3}, False),
        ({"succeeded": 16, "invalid_output": 2, "incomplete": 1, "blocked": 1}, True),
        ({"succeeded": 16, "failed": 3, "skipped": 50, "pending": 50, "awaiting_approval": 9}, False),
        ({"succeeded": 15, "ambiguous": 3, "failed": 3}, False),
    ],
)
def test_failures_count_once_enough_rows_have_ended(outcomes: dict[str, int], told: bool) -> None:
    found = rules(replace(WELL, outcomes=outcomes), failure_rate="20%", ambiguous=None)
    assert ("failure_rate" in found) is told


def test_rows_held_and_tokens_used_are_counted() -> None:
    at = replace(WELL, outcomes={"succeeded": 5, "ambiguous": 2})
    assert set(rules(at, tokens=1000)) == {"ambiguous", "tokens"}
    assert rules(at, tokens=1001, ambiguous=3) == {}


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"to": []},
        {"to": [{}]},
        {"to": [{"webhook": "https://a.example", "ping": "https://a.example"}]},
        {"to": [{"webhook": "http://a.example"}]},
        {"to": [{"webhook": "ftp://a.example/"}]},
        {"to": [{"command": []}]},
        {"to": [{"ping": "https://a.example"}], "failure_rate": "200%"},
        {"to": [{"ping": "https://a.example"}], "failure_rate": 0},
    ],
)
def test_a_section_that_makes_no_sense_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AlertsSpec.model_validate(section)


STUCK = Alert("stuck", "no row has ended")


def told(memory: Memory, *alerts: Alert, target: str = "a", now: float = NOW, reached: bool = True) -> list[str]:
    """What a target is told at a look."""
    news = list(memory.news(target, alerts, now))
    for each in news if reached else ():
        memory.heard(target, each)
    return [f"{each.alert.rule} {each.state}" for each in news]


def test_an_alert_is_told_once_when_it_begins_and_once_when_it_ends_also_over_restarts() -> None:
    memory = Memory()
    assert told(memory, STUCK) == ["stuck begun"]
    memory = memory_of(memory.written())
    assert told(memory, STUCK) == []
    assert told(memory) == ["stuck ended"]
    assert told(memory_of(memory.written())) == []
    assert told(memory, STUCK) == ["stuck begun"]


def test_who_was_not_reached_is_told_at_the_next_look_and_nobody_else_again() -> None:
    memory = Memory()
    assert told(memory, STUCK, target="a") == ["stuck begun"]
    assert told(memory, STUCK, target="b", reached=False) == ["stuck begun"]
    assert (told(memory, STUCK, target="a"), told(memory, STUCK, target="b")) == ([], ["stuck begun"])


def test_rows_wait_since_somebody_saw_them_wait_first() -> None:
    memory = Memory()
    assert memory.look(0, NOW) == NOW
    assert memory.look(5, NOW + 10) == NOW + 10
    assert memory_of(memory.written()).look(3, NOW + 500) == NOW + 10
    assert memory.look(0, NOW + 600) == NOW + 600
    assert memory.look(1, NOW + 700) == NOW + 700


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"told": 1, "waiting": 1}', b"\xff", b"[" * 100_000])
def test_a_memory_that_is_damaged_is_empty(content: bytes) -> None:
    assert memory_of(content) == Memory()
