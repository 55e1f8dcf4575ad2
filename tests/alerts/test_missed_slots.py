"""Slots that were not run are told to the targets of the job's alerts: each once, and again if nobody was reached."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from batchrun.engine.events import AlertFailed, Event
from batchrun.runs.missed_slots import Owner, tell_missed
from batchrun.schedule.deciding import decided
from batchrun.schedule.record import Record
from batchrun.spec.alerting import AlertsSpec
from batchrun.spec.scheduling import ScheduleSpec

HOURLY = ScheduleSpec(cron="0 * * * *", catch_up="none")
NOON = datetime(2026, 11, 22, 12, 30, tzinfo=UTC).timestamp()
HEARD = ["sh", "-c", "cat >> told; echo >> told"]


class Machine:
    """Where a job's slots are decided about, and nobody was there for so many hours."""

    def __init__(self, where: Path, command: list[str], **alerts: Any) -> None:
        self.where, self.now = where, NOON
        self.record = Record(where)
        self.alerts = AlertsSpec.model_validate({"to": [{"command": command}], **alerts})
        self.failures: list[Event] = []
        self.look()

    def look(self, hours: float = 0.0) -> None:
        self.now += hours * 3600
        decided(HOURLY, "job", self.record, self.now, timedelta(minutes=2))

    def tell(self, alerts: AlertsSpec | None = None) -> None:
        owner = Owner("job", self.where, self.where, alerts or self.alerts)
        asyncio.run(tell_missed(owner, self.record, lambda: self.now, self.failures.append))

    def told(self) -> list[str]:
        path = self.where / "told"
        lines = path.read_text().splitlines() if path.exists() else []
        return [f"{said['rule']}: {said['message']}" for said in map(json.loads, lines)]


def test_slots_that_were_missed_are_told_once_and_together(tmp_path: Path) -> None:
    machine = Machine(tmp_path, HEARD)
    machine.tell()
    machine.look(hours=2)
    machine.tell()
    machine.tell()
    machine.look(hours=5)
    machine.tell()
    why = "The last: passed over: missed, and `catch_up` is none"
    assert machine.told() == [
        f"missed_slot: 2 slots not run: 2026-11-22T1300Z, 2026-11-22T1400Z. {why}",
        f"missed_slot: 5 slots not run: …, 2026-11-22T1700Z, 2026-11-22T1800Z, 2026-11-22T1900Z. {why}",
    ]


def test_what_reached_nobody_is_told_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path, ["false"])
    machine.look(hours=1)
    machine.tell()
    assert [type(each) for each in machine.failures] == [AlertFailed]
    machine.tell(AlertsSpec.model_validate({"to": [{"command": HEARD}]}))
    assert len(machine.told()) == 1


@pytest.mark.parametrize("alerts", [{"missed_slot": False}])
def test_a_job_that_does_not_want_it_is_not_told_later_either(tmp_path: Path, alerts: dict[str, Any]) -> None:
    machine = Machine(tmp_path, HEARD, **alerts)
    machine.look(hours=3)
    machine.tell()
    machine.tell(AlertsSpec.model_validate({"to": [{"command": HEARD}]}))
    assert machine.told() == []
