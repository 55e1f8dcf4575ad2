"""Slots come when the expression says, in its time zone, whatever the clocks do; missed ones are caught up as told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from batchrun.schedule.slots import around, due, missed, next_change, oddity, slots
from batchrun.spec.scheduling import ScheduleSpec

BERLIN = "Europe/Berlin"


def spec(cron: str, **more: Any) -> ScheduleSpec:
    return ScheduleSpec(cron=cron, **more)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(found: ScheduleSpec, after: str, count: int) -> list[str]:
    return [f"{slot.at:%m-%d %H:%M%z}" for slot in islice(slots(found, "job", utc(after)), count)]


def test_slots_are_in_the_time_zone_of_the_schedule() -> None:
    assert local(spec("0 3 * * 1-5", timezone=BERLIN), "2026-11-20T12:00", 2) == [
        "11-23 03:00+0100",
        "11-24 03:00+0100",
    ]


def test_a_time_that_the_clock_jumps_over_is_the_moment_after_the_jump() -> None:
    night = spec("30 2 * * *", timezone=BERLIN)
    assert local(night, "2026-03-28T12:00", 2) == ["03-29 03:00+0200", "03-30 02:30+0200"]


def test_a_time_that_comes_twice_is_meant_once() -> None:
    night = spec("30 2 * * *", timezone=BERLIN)
    assert local(night, "2026-10-24T12:00", 2) == ["10-25 02:30+0200", "10-26 02:30+0100"]


def test_an_hourly_job_runs_in_each_hour_that_there_is() -> None:
    hourly = spec("0 * * * *", timezone=BERLIN)
    for start in ("2026-03-28T20:00", "2026-10-24T20:00"):
        found = list(islice(slots(hourly, "job", utc(start)), 12))
        assert {later.begins - slot.begins for slot, later in pairwise(found)} == {timedelta(hours=1)}


def test_every_slot_of_a_year_has_a_name_of_its_own() -> None:
    every = spec("*/15 * * * *", timezone=BERLIN)
    year = list(islice(slots(every, "job", utc("2026-01-01T00:00")), 4 * 24 * 365))
    assert len({slot.name for slot in year}) == len(year)


def test_what_the_clock_does_is_told() -> None:
    night = spec("30 2 * * *", timezone=BERLIN)
    before, jumped, after = islice(slots(night, "job", utc("2026-03-27T12:00")), 3)
    assert oddity(night, jumped, before.at) == "the clock goes forward by 60 minutes before this"
    assert oddity(night, after, jumped.at) == ""


@pytest.mark.parametrize(
    ("zone", "now", "change", "before", "first"),
    [
        (BERLIN, "2026-11-23T12:00", "2027-03-28T01:00", "2027-03-27T0130Z", "2027-03-28T0100Z"),
        (BERLIN, "2027-03-28T01:00", "2027-10-31T01:00", "2027-10-31T0030Z", "2027-11-01T0130Z"),
        ("Australia/Lord_Howe", "2026-11-23T12:00", "2027-04-03T15:00", "2027-04-02T1530Z", "2027-04-03T1600Z"),
    ],
)
def test_the_slots_around_the_clock_s_next_change_are_known(
    zone: str, now: str, change: str, before: str, first: str
) -> None:
    night = spec("30 2 * * *", timezone=zone)
    assert next_change(night, utc(now)) == utc(change)
    assert [slot.name for slot in around(night, "job", utc(change))] == [before, first]


def test_a_zone_whose_clock_never_changes_has_no_next_change() -> None:
    assert next_change(spec("30 2 * * *", timezone="Asia/Tokyo"), utc("2026-11-23T12:00")) is None


def test_jitter_is_the_same_every_time_and_another_for_another_job() -> None:
    daily = spec("0 3 * * *", jitter="10m")
    one, again, other = (
        [slot.delay for slot in islice(slots(daily, name, utc("2026-11-01T00:00")), 50)] for name in ("a", "a", "b")
    )
    assert one == again != other
    assert all(timedelta(0) <= delay < timedelta(minutes=10) for delay in one)


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [("all", ["20", "21", "22", "23"]), ("latest", ["23"]), ("none", [])],
)
def test_missed_slots_are_caught_up_as_the_job_says(catch_up: Any, expected: list[str]) -> None:
    daily = spec("0 3 * * *", catch_up=catch_up)
    found = due(daily, "job", utc("2026-11-19T03:00"), utc("2026-11-23T10:00"))
    assert [slot.date[-2:] for slot in found] == expected


@pytest.mark.parametrize("cron", ["0 * * * *", "30 2 * * *", "*/7 1-3 * * *"])
def test_what_was_missed_in_a_year_of_clock_changes_is_what_would_have_come(cron: str) -> None:
    found, since, now = spec(cron, timezone=BERLIN, jitter="5m"), utc("2026-01-01T00:00"), utc("2027-01-01T00:00")
    coming = [slot for slot in islice(slots(found, "job", since), 10_000) if slot.begins <= now]
    assert missed(found, "job", since, now) == coming


def test_of_a_minute_job_that_nobody_looked_at_for_years_the_last_slots_are_found_at_once() -> None:
    found = missed(spec("* * * * *"), "job", utc("2016-01-01T00:00"), utc("2026-01-01T00:00"))
    assert (len(found), found[-1].name) == (10_000, "2026-01-01T0000Z")


def test_a_slot_in_time_is_run_under_every_policy() -> None:
    for catch_up in ("none", "latest", "all"):
        daily = spec("0 3 * * *", catch_up=catch_up)
        (slot,) = due(daily, "job", utc("2026-11-22T03:00"), utc("2026-11-23T03:00:30"))
        assert slot.name == "2026-11-23T0300Z"
        assert due(daily, "job", slot.at, utc("2026-11-23T03:01:00")) == []


@pytest.mark.parametrize("wrong", ["0 3 * *", "61 * * * *", "every day", "0 0 30 2 *", "@daily", "0 0 3 * * *"])
def test_what_is_no_expression_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="no cron expression"):
        spec(wrong)


def test_a_jitter_that_leads_out_of_the_calendar_is_refused() -> None:
    with pytest.raises(ValidationError, match="at most 30 days"):
        spec("0 3 * * *", jitter=1e12)


def test_what_is_no_time_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="no time zone"):
        spec("0 3 * * *", timezone="Europe/Berlim")
