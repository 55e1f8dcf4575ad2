"""The daemon decides about each slot when its time comes, and children go on with them, over hours of virtual time."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from batchrun.schedule.record import Record
from batchrun.schedule.verdicts import State
from tests.daemon.shifts import Post, Work
from tests.reliability.clocks import Clocks, Jump

HOUR = 3600.0
#: The clock begins on 2026-11-22 at 13:00 UTC.


def post(where: Path, **more: object) -> Post:
    return Post(where, **more)  # type: ignore[arg-type]


def test_each_slot_is_begun_once_at_its_time(tmp_path: Path) -> None:
    here = post(tmp_path)
    here.write("hourly", "0 * * * *")
    assert here.live(3 * HOUR + 600)
    assert here.work.begun("hourly") == ["2026-11-22T1300Z", "2026-11-22T1400Z", "2026-11-22T1500Z", "2026-11-22T1600Z"]
    assert here.states("hourly")[-1] == "22T1600 done"
    assert all(entry.decided_at % HOUR < 1 for entry in here.record("hourly").values())


def test_a_job_file_that_comes_changes_and_goes_is_noticed(tmp_path: Path) -> None:
    here = post(tmp_path)
    here.live(
        5 * HOUR,
        (600, lambda: here.write("job", "0 * * * *")),
        (2.5 * HOUR, lambda: here.write("job", "30 * * * *")),
        (4.6 * HOUR, lambda: (tmp_path / "job.yaml").unlink()),
    )
    assert [state.split()[0] for state in here.states("job")] == ["22T1400", "22T1500", "22T1530", "22T1630", "22T1730"]
    assert [text.split(": ")[1] for text in here.texts("job")] == ["0 * * * *, UTC", "30 * * * *, UTC"]
    assert len(here.texts("gone")) == 1


def test_a_directory_without_a_job_is_told_once_until_one_has_come_and_gone(tmp_path: Path) -> None:
    here = post(tmp_path)
    here.live(
        5 * HOUR,
        (2.5 * HOUR, lambda: here.write("job", "0 * * * *")),
        (3.5 * HOUR, lambda: (tmp_path / "job.yaml").unlink()),
    )
    said = f"{tmp_path}: no job with a `schedule` here that can be used; waiting for one"
    assert here.texts("trouble") == [said, said]
    assert len(here.work.begun("job")) == 1


def test_a_broken_job_file_is_told_once_and_stops_nobody_else(tmp_path: Path) -> None:
    here = post(tmp_path)
    here.write("good", "0 * * * *")
    broken = here.write("bad", "0 * * * *", timezone="Europe/Nowhere")
    (tmp_path / "notes.yaml").write_text("just: notes\n")
    here.live(4 * HOUR, (2.2 * HOUR, lambda: here.write("bad", "0 * * * *")))
    assert len(here.work.begun("good")) == 4
    assert here.work.begun("bad") == ["2026-11-22T1600Z"]
    (text,) = here.texts("broken")
    assert str(broken) in text
    assert "Europe/Nowhere" in text


def test_while_a_file_is_broken_its_job_begins_nothing_and_then_catches_up(tmp_path: Path) -> None:
    here = post(tmp_path)
    path = here.write("job", "0 * * * *", catch_up="all")
    here.live(
        4.5 * HOUR,
        (0.5 * HOUR, lambda: path.write_text("name: [")),
        (3.2 * HOUR, lambda: here.write("job", "0 * * * *", catch_up="all")),
    )
    assert [state.split()[0] for state in here.states("job")] == [f"22T1{hour}00" for hour in range(3, 8)]
    assert all(entry.state is State.DONE for entry in here.record("job").values())


def test_jobs_of_one_name_are_told_apart_by_refusing_the_second(tmp_path: Path) -> None:
    here = post(tmp_path)
    here.write("job", "0 * * * *")
    (tmp_path / "same.yaml").write_text((tmp_path / "job.yaml").read_text())
    here.live(HOUR)
    assert len(here.texts("job")) == 1
    assert "same.yaml: name: " in here.texts("broken")[0]


def test_a_slot_is_skipped_queued_or_takes_the_place_of_the_one_that_runs(tmp_path: Path) -> None:
    here = post(tmp_path, work=Work(takes=lambda job, slot: 1.5 * HOUR))
    for overlap in ("skip", "queue", "replace"):
        here.write(overlap, "0 * * * *", overlap=overlap)
    here.live(5.5 * HOUR)
    assert here.work.begun("skip") == ["2026-11-22T1300Z", "2026-11-22T1500Z", "2026-11-22T1700Z"]
    assert here.work.begun("queue") == ["2026-11-22T1300Z", "2026-11-22T1400Z", "2026-11-22T1500Z", "2026-11-22T1600Z"]
    assert here.states("queue")[3:] == ["22T1600 begun", "22T1700 queued", "22T1800 queued"]
    assert here.states("replace") == [f"22T1{hour}00 replaced" for hour in range(3, 8)] + ["22T1800 begun"]
    assert len(here.work.begun("replace")) == 6
    assert ("skip", State.SKIPPED) in {(name, verdict.state) for name, verdict in here.verdicts}


def test_only_so_many_children_run_at_once(tmp_path: Path) -> None:
    here = post(tmp_path, work=Work(takes=lambda job, slot: 600.0), at_once=2)
    for number in range(5):
        here.write(f"job{number}", "0 * * * *")
    running: list[int] = []

    def count() -> None:
        assert here.daemon is not None
        running.append(sum(watch.child is not None for watch, _ in here.daemon._watches.values()))

    here.live(HOUR - 60, *((float(after), count) for after in range(10, 3500, 30)))
    assert max(running) == 2
    assert all(here.work.begun(f"job{number}") == ["2026-11-22T1300Z"] for number in range(5))
    assert len(here.shifts) == 5


def test_what_a_dead_child_left_is_gone_on_with_after_a_while(tmp_path: Path) -> None:
    here = post(tmp_path, work=Work(takes=lambda job, slot: 900.0))
    here.write("job", "0 * * * *")
    here.live(HOUR - 60, (300, lambda: here.shifts[0].kill()))
    assert here.work.begun("job") == ["2026-11-22T1300Z"]
    assert here.states("job") == ["22T1300 done"]
    assert len(here.shifts) == 2
    assert "2026-11-22T1300Z; its process was ended by signal 9; goes on in 5s" in here.texts("left")[0]


def test_a_slot_that_cannot_go_on_is_tried_ever_more_rarely_and_told_once(tmp_path: Path) -> None:
    here = post(tmp_path, work=Work(ends=lambda job, slot: State.BLOCKED))
    here.write("job", "0 3 * * *")
    here.live(24 * HOUR)
    assert 24 < len(here.shifts) < 80
    assert len(here.texts("left")) == 1


def test_a_slot_that_is_given_up_when_the_next_one_comes_is_told(tmp_path: Path) -> None:
    here = post(tmp_path, work=Work(ends=lambda job, slot: State.BLOCKED))
    here.write("job", "0 * * * *")
    here.live(1.5 * HOUR)
    assert here.states("job") == ["22T1300 given_up", "22T1400 blocked"]
    (said,) = [message for message in here.told if message.state == State.GIVEN_UP]
    assert said.bad
    assert said.text.startswith("2026-11-22T1300Z given up: not mended when 2026-11-22T1400Z came")


def test_a_slot_that_was_reopened_by_hand_is_gone_on_with_within_a_minute(tmp_path: Path) -> None:
    here = post(tmp_path)
    here.write("job", "0 3 * * *")
    (tmp_path / "runs" / "job").mkdir(parents=True)

    def reopen() -> None:
        with Record(tmp_path / "runs" / "job") as record:
            record.begin("2026-11-20T0300Z", here.clock.wall())

    here.live(HOUR, (1000.0, reopen))
    assert here.states("job") == ["20T0300 done"]
    assert len(here.shifts) == 1


def test_when_it_is_told_to_leave_children_stop_and_nothing_is_begun(tmp_path: Path) -> None:
    here = post(tmp_path, work=Work(takes=lambda job, slot: 5 * HOUR), at_once=1)
    here.write("one", "0 * * * *", overlap="queue")
    here.write("two", "0 * * * *", overlap="queue")
    began = here.clock.now
    assert here.live(1.5 * HOUR)
    assert here.clock.now - began < 1.5 * HOUR + 10
    assert (here.states("one"), here.states("two")) == (
        ["22T1300 begun", "22T1400 queued"],
        ["22T1300 queued", "22T1400 queued"],
    )


def test_a_child_that_does_not_stop_is_killed_after_the_grace(tmp_path: Path) -> None:
    here = post(tmp_path, work=Work(takes=lambda job, slot: 5 * HOUR))
    here.write("job", "0 * * * *")

    def deafen() -> None:
        here.shifts[0].stop = lambda: None  # type: ignore[method-assign]

    began = here.clock.now
    assert not here.live(600, (100, deafen))
    assert 660 <= here.clock.now - began < 670


def test_a_machine_that_slept_catches_up_within_a_minute(tmp_path: Path) -> None:
    clocks = Clocks()
    clocks.jumps = [Jump(600.0, 5 * HOUR, asleep=True)]
    here = post(tmp_path, clock=clocks)
    here.write("job", "0 * * * *")
    here.live(1000)
    assert [state.split()[1] for state in here.states("job")] == ["done", *["passed_over"] * 4, "done"]
    assert {verdict.state for _, verdict in here.verdicts} == {State.QUEUED, State.PASSED_OVER}


def test_a_clock_that_is_set_back_begins_nothing_twice(tmp_path: Path) -> None:
    clocks = Clocks()
    clocks.jumps = [Jump(1.5 * HOUR, -2 * HOUR)]
    here = post(tmp_path, clock=clocks)
    here.write("job", "0 * * * *")
    here.live(5 * HOUR - 60)
    assert [slot[11:15] for slot in here.work.begun("job")] == ["1300", "1400", "1500"]


def test_it_says_that_it_lives_four_times_a_minute(tmp_path: Path) -> None:
    here = post(tmp_path)
    here.live(600)
    assert len(here.beats) == 40


def test_a_record_that_another_process_holds_keeps_no_other_job_waiting(tmp_path: Path) -> None:
    here = post(tmp_path)
    here.write("free", "0 * * * *")
    here.write("held", "0 * * * *")
    other: list[sqlite3.Connection] = []

    def hold() -> None:
        other.append(sqlite3.connect(tmp_path / "runs" / "held" / "schedule.db", isolation_level=None))
        other[0].execute("BEGIN EXCLUSIVE")

    began = time.perf_counter()
    here.live(HOUR + 120, (HOUR - 10, hold), (HOUR + 3, lambda: other[0].close()))
    assert time.perf_counter() - began < 20
    assert here.states("held") == here.states("free") == ["22T1300 done", "22T1400 done"]
    (locked,) = (said.text for said in here.told if said.bad)
    assert "runs/held/schedule.db: cannot use the record of the schedule: database is locked" in locked


def test_whoever_listens_for_verdicts_may_fail(tmp_path: Path) -> None:
    here = post(tmp_path)
    here.write("job", "0 * * * *", overlap="replace")

    class Deaf(list[object]):
        def append(self, _: object) -> None:
            raise ValueError("no network")

    here.verdicts = Deaf()  # type: ignore[assignment]
    here.live(2.5 * HOUR)
    assert [state.split()[1] for state in here.states("job")] == ["done"] * 3
    assert here.texts("trouble") == ["batchrun itself failed: ValueError: no network"]
