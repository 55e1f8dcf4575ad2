"""The short set of the scheduled years, and that daemons which forget, or know no clock changes, do not pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import takewhile
from pathlib import Path

import pytest

import batchrun.schedule.slots as slots_of
from batchrun.schedule.record import Record
from batchrun.schedule.slots import slots
from batchrun.spec.scheduling import ScheduleSpec
from tests.reliability.proofs.schedule import account, prove
from tests.reliability.timetable import times
from tests.reliability.years import CRONS, ZONES

SPRING = (1, 125.0, 4.0)


def test_every_slot_about_the_clock_changes_is_accounted_for(tmp_path: Path) -> None:
    for figure in prove(tmp_path, full=False):
        assert figure.met, figure.note


@pytest.mark.parametrize("zone", ZONES[:3])
def test_a_year_of_every_expression_has_the_times_that_are_counted_by_hand(zone: str) -> None:
    first, last = datetime(2026, 11, 22, 13, 7, tzinfo=UTC), datetime(2027, 11, 22, 13, 7, tzinfo=UTC)
    for cron in CRONS[:2] + CRONS[5:6]:
        coming = (slot.at.astimezone(UTC) for slot in slots(ScheduleSpec(cron=cron, timezone=zone), "job", first))
        assert tuple(takewhile(lambda at: at <= last, coming)) == times(cron, zone, first, last)


def test_a_record_that_forgets_up_to_when_it_was_decided_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Record, "_set_meta", lambda *_: None)
    assert any("is not accounted for" in fault for fault in account(SPRING).broken)


def test_a_record_that_forgets_what_was_begun_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Record, "unfinished", lambda record: record._open(("queued",)))
    assert any("left open" in fault for fault in account(SPRING).broken)


def test_a_clock_without_changes_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots_of, "ZoneInfo", lambda _: timezone(timedelta(hours=1)))
    assert any("is no time of the schedule" in fault for fault in account(SPRING).broken)
