"""A tick of a scheduled job goes on with the slots that are not finished, and begins what is due by the policies."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchrun.errors import Exit, LockedError, SpecError
from batchrun.runs.directory import run_dir
from batchrun.runs.scheduled import existing, note_reopened, planned
from batchrun.runs.slot_ticks import worst
from batchrun.store.lock import RunLock
from tests.schedule.nightly import Nightly


def ticked(where: Path, **changes: object) -> Nightly:
    """A job that cron has known since the day before its first slot."""
    job = Nightly(where, **changes)  # type: ignore[arg-type]
    assert job.tick() == []
    return job


def test_a_new_job_begins_with_the_first_slot_after_it_was_seen(tmp_path: Path) -> None:
    job = ticked(tmp_path)
    assert not (job.home / "2026-11-22T0300Z").exists()
    job.wait("11-23T03:00:05")
    assert job.told() == ["11-23T03 begun"]
    job.wait("11-23T03:15")
    assert job.told() == ["11-23T03 done"]
    assert job.told() == []
    assert len(job.billed()) == 3


def test_the_slot_whose_time_woke_the_first_tick_is_run(tmp_path: Path) -> None:
    job = Nightly(tmp_path)
    job.wait("11-23T03:00:01")
    assert job.told() == ["11-23T03 begun"]


@pytest.mark.parametrize(
    ("catch_up", "states"),
    [
        ("none", {"11-23": "passed_over", "11-24": "passed_over", "11-25": "passed_over"}),
        ("latest", {"11-23": "passed_over", "11-24": "passed_over", "11-25": "done"}),
        ("all", {"11-23": "done", "11-24": "done", "11-25": "done"}),
    ],
)
def test_what_was_missed_is_caught_up_as_the_job_says(tmp_path: Path, catch_up: str, states: dict[str, str]) -> None:
    job = ticked(tmp_path, schedule={"catch_up": catch_up})
    job.latency = "0s"
    job.wait("11-25T09:00")
    for _ in range(4):
        job.tick()
    assert job.states() == states


@pytest.mark.parametrize(
    ("overlap", "at_first", "in_the_end"),
    [
        ("skip", {"11-23": "begun", "11-24": "skipped"}, {"11-23": "done", "11-24": "skipped"}),
        ("queue", {"11-23": "begun", "11-24": "queued"}, {"11-23": "done", "11-24": "done"}),
        ("replace", {"11-23": "replaced", "11-24": "begun"}, {"11-23": "replaced", "11-24": "done"}),
    ],
)
def test_a_slot_whose_predecessor_still_runs(
    tmp_path: Path, overlap: str, at_first: dict[str, str], in_the_end: dict[str, str]
) -> None:
    job = ticked(tmp_path, schedule={"cron": "0 3 23,24 * *", "overlap": overlap}, poll={"deadline": "5d"})
    job.latency = "30h"
    for night in ("11-23", "11-24"):
        job.wait(f"{night}T03:00:05")
        job.tick()
    assert job.states() == at_first
    for later in ("11-25T12:00", "11-27T12:00", "11-27T13:00"):
        job.wait(later)
        job.tick()
    assert job.states() == in_the_end
    assert job.tick() == []


def test_what_a_replaced_slot_has_in_flight_is_collected_and_nothing_more_of_it_is_sent(tmp_path: Path) -> None:
    job = ticked(tmp_path, rows=4, schedule={"overlap": "replace"}, poll={"deadline": "5d"}, limits={"in_flight": 2})
    job.latency = "30h"
    job.wait("11-23T03:00:05")
    job.tick()
    job.wait("11-24T03:00:05")
    job.tick()
    job.wait("11-24T12:00")
    (old, _) = job.tick()
    assert old.result is not None
    assert (old.state, old.result.summary.succeeded, old.result.summary.pending) == ("replaced", 2, 2)
    assert [stood.slot[5:10] for stood in job.tick()] == ["11-24"]


def test_a_slot_that_only_needs_the_user_is_told_once_and_gone_on_with_when_it_is_reopened(tmp_path: Path) -> None:
    job = ticked(tmp_path, retry={"ambiguous": {"model": "hold"}})
    job.wait("11-23T03:00:05")
    job.tick(faults="drop_after:#1")
    job.wait("11-23T03:10")
    (stood,) = job.tick()
    assert (stood.state, stood.exit_code) == ("held", Exit.ROWS_HELD)
    assert job.tick() == []
    found = existing(job.wanted(), job.clock.wall())
    with job.record() as record:
        assert record.open() == []
    note_reopened(found, run_dir(found, None, emulated=True))
    assert [str(again.state) for again in job.tick()] == ["held"]


def test_a_slot_whose_money_is_used_up_waits_for_the_user_and_holds_up_no_other(tmp_path: Path) -> None:
    job = ticked(tmp_path, rows=20, limits={"max_cost": 0.012, "posts": 1})
    job.spec["request"]["generation_config"] = {"max_output_tokens": 1000}
    job.wait("11-23T03:00:05")
    for _ in range(50):
        job.tick()
        job.clock.now += 60
    with job.record() as record:
        (entry,) = record.entries()
    assert (str(entry.state), "max_cost" in entry.why) == ("held", True)
    assert job.tick() == []
    job.wait("11-24T03:00:05")
    assert [stood.slot[5:10] for stood in job.tick()] == ["11-24"]
    job.spec["limits"]["max_cost"] = 5
    assert job.by_hand("2026-11-23").summary.pending == 0


def test_a_slot_whose_input_is_not_there_yet_is_tried_again_until_the_next_one(tmp_path: Path) -> None:
    job = ticked(tmp_path, input={"path": "late.jsonl"})
    job.wait("11-23T03:00:05")
    (stood,) = job.tick()
    assert (stood.state, stood.exit_code) == ("blocked", Exit.BAD_INPUT)
    job.wait("11-24T03:00:05")
    assert job.told() == ["11-23T03 blocked", "11-24T03 blocked"]
    assert job.states() == {"11-23": "given_up", "11-24": "blocked"}
    (tmp_path / "late.jsonl").write_text('{"id": "a", "question": "?"}\n')
    assert job.told() == ["11-24T03 begun"]


def test_a_slot_that_was_asked_for_by_hand_and_refused_bothers_no_tick(tmp_path: Path) -> None:
    job = ticked(tmp_path, input={"path": "{{ date }}.jsonl"}, output={"dir": "out/{{ date }}"})
    with pytest.raises(SpecError, match="2026-11-10"):
        job.by_hand("2026-11-10")
    (tmp_path / "2026-11-22.jsonl").write_text('{"id": "a", "question": "?"}\n')
    job.by_hand()
    with job.record() as record:
        record.writes_to("2026-11-22T0300Z", str(tmp_path / "out" / "2026-11-22"))
    with pytest.raises(SpecError, match="2026-11-22T0300Z"):
        job.by_hand("now")
    assert job.tick() == []
    assert job.states() == {"11-22": "done"}


def test_a_slot_that_a_tick_has_begun_stays_on_record_when_it_is_refused_by_hand(tmp_path: Path) -> None:
    job = ticked(tmp_path, input={"path": "late.jsonl"})
    job.wait("11-23T03:00:05")
    job.tick()
    with pytest.raises(SpecError, match=r"late\.jsonl"):
        job.by_hand()
    assert job.states() == {"11-23": "blocked"}


def test_a_slot_that_another_process_runs_is_left_to_it(tmp_path: Path) -> None:
    job = ticked(tmp_path, poll={"deadline": "5d"})
    job.wait("11-23T03:00:05")
    job.tick()
    lock = RunLock(job.home / "2026-11-23T0300Z")
    (stood,) = job.tick()
    lock.close()
    assert (type(stood.error), stood.exit_code, stood.state) == (LockedError, Exit.TRY_LATER, "begun")
    assert [again.exit_code for again in job.tick()] == [Exit.OK]


def test_the_time_of_a_tick_bounds_all_of_its_slots(tmp_path: Path) -> None:
    job = ticked(tmp_path, rows=30, schedule={"catch_up": "all", "overlap": "queue"}, limits={"rpm": 60})
    job.wait("11-25T09:00")
    began = job.clock.wall()
    job.tick(seconds=10)
    assert job.clock.wall() - began < 60
    assert job.states() == {"11-23": "begun", "11-24": "queued", "11-25": "queued"}


def test_a_slot_with_a_run_that_the_record_does_not_know_is_gone_on_with(tmp_path: Path) -> None:
    job = ticked(tmp_path)
    job.wait("11-23T03:00")
    assert job.told() == ["11-23T03 begun"]
    (job.home / "schedule.db").unlink()
    job.wait("11-23T03:10")
    assert job.told() == ["11-23T03 done"]
    assert len(job.billed()) == 3


def test_run_by_hand_takes_the_latest_slot_and_a_tick_does_not_run_it_again(tmp_path: Path) -> None:
    job = Nightly(tmp_path)
    assert job.by_hand().summary.succeeded == 3
    assert [path.name for path in job.home.glob("*Z")] == ["2026-11-22T0300Z"]
    assert job.tick() == []
    job.wait("11-23T03:01")
    job.by_hand()
    assert job.told() == []
    assert job.states() == {"11-22": "done", "11-23": "done"}


def test_a_run_by_hand_that_was_cut_short_is_gone_on_with_by_the_next_tick(tmp_path: Path) -> None:
    job = ticked(tmp_path)
    with job.record() as record:  # as `kill -9` right after the decision leaves it
        record.begin("2026-11-20T0300Z", job.clock.wall())
    assert job.told() == ["11-20T03 begun"]


def test_slots_are_filled_in_by_hand(tmp_path: Path) -> None:
    job = Nightly(tmp_path)
    for written, name in {
        "2026-11-20T0300Z": "2026-11-20T0300Z",
        "2026-11-19": "2026-11-19T0300Z",
        "2026-11-18T03:00": "2026-11-18T0300Z",
        "2026-11-17T04:00+01:00": "2026-11-17T0300Z",
        "now": "2026-11-22T1300Z",
    }.items():
        found = planned(job.wanted(written), job.clock.wall())
        assert found.dates is not None
        assert found.dates.slot == name


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("2026-11-23", "has not begun"),
        ("2026-11-20T0400Z", "no slot at this time"),
        ("yesterday", "neither a slot nor a time"),
        ("../../etc", "neither a slot nor a time"),
    ],
)
def test_what_is_no_slot_is_refused(tmp_path: Path, written: str, said: str) -> None:
    job = Nightly(tmp_path)
    with pytest.raises(SpecError, match=said):
        planned(job.wanted(written), job.clock.wall())


def test_the_worst_exit_code_is_told() -> None:
    codes = [Exit.OK, Exit.TRY_LATER, Exit.SOME_ROWS_FAILED, Exit.CREDENTIALS, Exit.ROWS_HELD]
    assert worst(iter(codes)) is Exit.CREDENTIALS
    assert worst(iter(codes[:3])) is Exit.TRY_LATER
    assert worst(iter([])) is Exit.OK


def test_a_tick_while_the_clock_is_years_ahead_ends_and_pays_nothing_of_a_slot_in_flight_again(tmp_path: Path) -> None:
    job = ticked(tmp_path, schedule={"catch_up": "none"})
    job.wait("11-23T03:00:05")
    job.tick()
    job.clock.now += 10 * 365.25 * 86400
    job.tick()
    job.wait("11-23T03:15")
    job.tick()
    with job.record() as record:
        entry = record.entry("2026-11-23T0300Z")
    assert entry is not None
    assert (entry.state, len(job.billed())) == ("done", 3)
