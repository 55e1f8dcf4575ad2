"""The record of a schedule: every slot is decided once, whoever looks at the same time, whenever they are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from random import Random
from typing import Any

import pytest

from batchrun.errors import StoreError
from batchrun.schedule.deciding import decided
from batchrun.schedule.record import Record
from batchrun.schedule.slots import slots
from batchrun.schedule.verdicts import State, Verdict, first_seen, verdicts
from batchrun.spec.scheduling import ScheduleSpec

EVERY = ScheduleSpec(cron="*/5 * * * *", catch_up="all", overlap="queue")
FIRST = datetime(2026, 11, 23, tzinfo=UTC)
SLOTS = 60
#: Ticks through the slots, and writes down in a file of its own what it begins.
TICKER = """
import sys
from datetime import timedelta
from pathlib import Path
from batchrun.schedule.record import Record
from tests.schedule.test_record import FIRST, SLOTS, look
with Record(Path(sys.argv[1])) as record, open(sys.argv[2], "a", buffering=1) as begun:
    for number in range(SLOTS):
        now = FIRST + timedelta(minutes=5 * number, seconds=1)
        look(record, now)
        while (entry := record.begin_next(now.timestamp())) is not None:
            begun.write(entry.name + "\\n")
            print(entry.name, flush=True)
            record.settle(entry.name, "done", "", now.timestamp(), over=True)
"""


def decided_at(record: Record, spec: ScheduleSpec, now: datetime) -> None:
    def decide(last: datetime | None, running: Sequence[str]) -> tuple[datetime, Sequence[Verdict]]:
        last = last or first_seen(spec, "job", now)
        found = verdicts(spec, "job", last, now, running)
        return (found[-1].slot.at if found else last), found

    record.look(now.timestamp(), decide)


def look(record: Record, now: datetime) -> None:
    decided_at(record, EVERY, now)


def ticker(where: Path, name: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", TICKER, str(where), str(where / name)]
    return subprocess.Popen(words, env=dict(os.environ), stdout=subprocess.PIPE)


def begun(where: Path) -> Counter[str]:
    return Counter(line for path in where.glob("by-*") for line in path.read_text().split())


def test_of_several_processes_one_begins_each_slot(tmp_path: Path) -> None:
    running = [ticker(tmp_path, f"by-{number}") for number in range(3)]
    assert [process.communicate(timeout=60)[1] for process in running] == [None, None, None]
    assert set(begun(tmp_path).values()) == {1}
    assert len(begun(tmp_path)) == SLOTS


def test_after_kill_9_every_slot_is_accounted_for(tmp_path: Path) -> None:
    for kill in range(4):
        running = ticker(tmp_path, f"by-{kill}")
        assert running.stdout is not None
        for _ in range(3 + kill):
            running.stdout.readline()
        os.kill(running.pid, signal.SIGKILL)
        running.communicate()
        with Record(tmp_path) as record:  # what was begun and not settled is still known as that
            for entry in record.open():
                record.settle(entry.name, State.DONE, "", 0.0, over=True)
    ticker(tmp_path, "by-last").communicate(timeout=60)
    with Record(tmp_path) as record:
        entries = record.entries()
    assert [entry.name for entry in entries] == sorted({*begun(tmp_path)} | {entry.name for entry in entries})
    assert (len(entries), {entry.state for entry in entries}) == (SLOTS, {State.DONE})
    assert max(begun(tmp_path).values()) == 1


def test_a_slot_that_was_begun_by_hand_is_not_decided_about_again(tmp_path: Path) -> None:
    with Record(tmp_path) as record:
        look(record, FIRST - timedelta(minutes=3))
        record.begin("2026-11-23T0000Z", 1.0)
        record.settle("2026-11-23T0000Z", State.DONE, "", 2.0, over=True)
        look(record, FIRST + timedelta(seconds=1))
        assert [(entry.name, entry.state) for entry in record.entries()] == [("2026-11-23T0000Z", State.DONE)]
        assert record.begin_next(3.0) is None


def test_a_slot_keeps_the_time_at_which_it_was_first_begun(tmp_path: Path) -> None:
    with Record(tmp_path) as record:
        record.begin("2026-11-23T0000Z", 1.0)
        assert record.begin("2026-11-23T0000Z", 2.0).begun_at == 1.0


def test_a_record_of_a_newer_batchrun_is_refused(tmp_path: Path) -> None:
    with Record(tmp_path) as record:
        record._db.execute("INSERT INTO _sqlite_migrations VALUES (99, 'batchrun.schedule', 'm999', '')")
    with pytest.raises(StoreError, match=r"newer batchrun \(m999\)"):
        Record(tmp_path)


def test_what_is_no_record_is_told(tmp_path: Path) -> None:
    (tmp_path / "schedule.db").write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(StoreError, match=r"schedule.db: cannot use the record"):
        Record(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE slot SET state = 'frobbed'",
        "UPDATE slot SET name = x'00ff'",
        "UPDATE slot SET begun_at = 'today'",
        "INSERT OR REPLACE INTO meta VALUES ('decided_to', 'yesterday')",
    ],
)
def test_what_nobody_can_have_written_into_it_is_told(tmp_path: Path, damage: str) -> None:
    with Record(tmp_path) as record:
        record.begin("2026-11-23T0000Z", 1.0)
        record._db.execute(damage)
        with pytest.raises(StoreError, match="no batchrun wrote this"):
            look(record, FIRST)


def test_a_clock_that_was_years_ahead_silences_no_schedule_and_decides_no_slot_twice(tmp_path: Path) -> None:
    daily = ScheduleSpec(cron="0 3 * * *")
    with Record(tmp_path) as record:

        def queued(now: datetime) -> list[str]:
            found = decided(daily, "job", record, now.timestamp(), timedelta(hours=1))
            return [verdict.slot.name for verdict in found if verdict.state is State.QUEUED]

        assert queued(FIRST) == []
        assert queued(FIRST + timedelta(hours=3)) == ["2026-11-23T0300Z"]
        record.settle("2026-11-23T0300Z", State.DONE, "", 0.0, over=True)
        (ahead,) = queued(FIRST + timedelta(days=3650))
        record.settle(ahead, State.DONE, "", 0.0, over=True)
        assert queued(FIRST + timedelta(hours=3, minutes=30)) == []
        assert queued(FIRST + timedelta(hours=27, minutes=5)) == ["2026-11-24T0300Z"]
        assert queued(FIRST + timedelta(hours=27, minutes=10)) == []


def test_a_pipe_in_its_place_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "schedule.db")
    with pytest.raises(StoreError, match="not a regular file"):
        Record(tmp_path)


@pytest.mark.parametrize("catch_up", ["none", "latest", "all"])
def test_over_a_year_of_clock_changes_each_slot_is_decided_once_however_rarely_anybody_looks(
    tmp_path: Path, catch_up: Any
) -> None:
    spec = ScheduleSpec(cron="30 2,14 * * *", timezone="Europe/Berlin", catch_up=catch_up, jitter="20m")
    random, now, end = Random(4), FIRST, FIRST + timedelta(days=366)
    with Record(tmp_path) as record:
        while now < end:
            for name in [entry.name for entry in record.open()]:
                record.settle(name, State.DONE, "", now.timestamp(), over=True)
            decided_at(record, spec, now)
            while (entry := record.begin_next(now.timestamp())) is not None:
                record.settle(entry.name, State.DONE, "", now.timestamp(), over=True)
            now += timedelta(minutes=random.choice([5, 60, 60 * 11, 60 * 40]))
        entries = record.entries()
    meant = [slot.name for slot in takewhile(lambda slot: slot.begins < now, slots(spec, "job", FIRST))]
    assert [entry.name for entry in entries] == meant[: len(entries)]
    assert len(meant) - len(entries) <= 4  # since the last look
    assert {entry.state for entry in entries} == {"all": {State.DONE}}.get(catch_up, {State.DONE, State.PASSED_OVER})


def test_a_slot_that_a_wrong_clock_has_queued_waits_for_its_time(tmp_path: Path) -> None:
    hour = timedelta(hours=1)
    with Record(tmp_path) as record:
        look(record, FIRST - timedelta(minutes=3))
        look(record, FIRST + 5 * hour)
        queued = [entry.name for entry in record.unfinished()]
        assert record.begin_next((FIRST - hour).timestamp()) is None
        begun = record.begin_next((FIRST + timedelta(seconds=30)).timestamp())
        assert begun is not None
        assert begun.name == queued[0]
