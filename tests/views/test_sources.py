"""One view from two sources: the events of a run, and its checkpoint as another process reads it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchrun.engine.events import (
    Event,
    Expiring,
    Landed,
    Paused,
    Posted,
    RowEnded,
    Salvaged,
    Started,
    Steered,
    Stopping,
    Telling,
)
from batchrun.errors import Exit, StoreError
from batchrun.rows import Outcome
from batchrun.runs.directory import RunDir
from batchrun.runs.run import retry
from batchrun.spec.load import load_job
from batchrun.store.control import Control, Verb
from batchrun.store.lock import RunLock, myself
from batchrun.views.look import look
from batchrun.views.meter import Meter
from batchrun.views.troubles import Troubles
from batchrun.views.view import Standing, State, View, rows_may_follow
from tests.rehearsal import Rehearsal


class Watcher:
    """Takes both views after each so many rows."""

    def __init__(self, job: Rehearsal, every: int) -> None:
        self.meter = Meter("sums", job.clock.wall, rpm=600)
        self.pairs: list[tuple[float, View, View]] = []
        self._job, self._every, self._ended = job, every, 0

    def __call__(self, event: Event) -> None:
        self.meter(event)
        if isinstance(event, Started):
            at = self._job.clock.wall()
            os.utime(self._job.directory / "run.lock", (at, at))  # the file's own time is no virtual one
        self._ended += isinstance(event, RowEnded)
        if isinstance(event, RowEnded) and self._ended % self._every == 0:
            now = self._job.clock.wall()
            self.pairs.append((now, self.meter.view(), look(RunDir(self._job.directory), now)))


def test_events_and_checkpoint_tell_the_same(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=400, limits={"rpm": 600, "in_flight": 30})
    watcher = Watcher(job, every=20)
    job.run(observe=watcher, latency="lognormal:8s,0.5", faults="failed:0.1, schema_violation:0.05")
    for _, ours, theirs in watcher.pairs:
        assert theirs.state is State.RUNNING
        assert ours.rpm == theirs.rpm == 600
        assert ours.standing.rows == theirs.standing.rows == 400
        assert abs(ours.standing.done - theirs.standing.done) <= 2, "what is told is what is durable, a moment later"
        assert abs(ours.standing.in_flight - theirs.standing.in_flight) <= 2
        assert {each.kind for each in ours.troubles} == {each.kind for each in theirs.troubles}
    _, ours, theirs = watcher.pairs[-2]
    assert ours.posts_a_minute == pytest.approx(theirs.posts_a_minute, rel=0.15)
    assert ours.rows_a_second == pytest.approx(theirs.rows_a_second, rel=0.15)
    assert ours.tokens.total == pytest.approx(theirs.tokens.total, rel=0.05)


def test_both_tell_what_is_left_and_are_seldom_wrong(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=600, limits={"rpm": None, "in_flight": 30})
    watcher = Watcher(job, every=25)
    job.run(observe=watcher, latency="lognormal:60s,0.4")
    end = job.clock.wall()
    for views in zip(*(pair[1:] for pair in watcher.pairs), strict=True):
        known = [(at, view.left) for (at, *_), view in zip(watcher.pairs, views, strict=True) if view.left is not None]
        assert len(known) > len(views) * 0.8
        wrong = [each for at, each in known if each.low * 0.9 > end - at or (each.high or 1e9) * 1.1 + 1 < end - at]
        assert len(wrong) <= 0.25 * len(known)


def test_at_the_end_they_agree_on_every_count(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=60)
    watcher = Watcher(job, every=1000)
    job.run(observe=watcher, faults="failed:0.2, schema_violation:0.1, 503:0.1")
    ours, theirs = watcher.meter.view(), look(RunDir(job.directory), job.clock.wall())
    assert ours.standing == theirs.standing
    assert ours.state is theirs.state is State.ENDED
    assert ours.tokens == theirs.tokens
    assert ours.tokens.output > 0
    counts = [{each.kind: each.count for each in view.troubles} for view in (ours, theirs)]
    assert counts[0] == counts[1] != {}


def test_a_run_gone_on_with_counts_what_had_ended_before(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=30)
    job.run(limit=10)
    watcher = Watcher(job, every=1000)
    job.run(observe=watcher)
    assert watcher.meter.view().standing == Standing({Outcome.SUCCEEDED: 30})


def test_before_the_first_run_there_is_nothing_and_that_is_said(tmp_path: Path) -> None:
    view = look(RunDir(tmp_path / "runs" / "none"), 0.0)
    assert (view.state, view.standing.rows) == (State.NEW, 0)
    assert "nothing has been run in" in view.notices[0]


def test_a_checkpoint_that_is_being_made_is_waited_for_and_a_broken_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "run.db").touch()
    lock = RunLock(tmp_path)
    assert look(RunDir(tmp_path), 0.0).state is State.RUNNING
    lock.close()
    with pytest.raises(StoreError):
        look(RunDir(tmp_path), 0.0)


def test_a_run_that_has_rows_to_go_on_with_and_nobody_to_do_it_is_not_running(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=10)
    job.run(faults="failed:0.5")
    assert look(RunDir(job.directory), job.clock.wall()).state is State.ENDED
    retry(load_job(job.write()), RunDir(job.directory), ["failed"], [], job.clock.wall())
    view = look(RunDir(job.directory), job.clock.wall())
    assert (view.state, view.elapsed, view.left) == (State.IDLE, None, None)
    assert view.standing.waiting > 0
    assert "nobody runs it" in view.notices[0]


def test_a_look_does_not_keep_a_run_from_starting(tmp_path: Path) -> None:
    """A look takes the lock for a moment, to see whether anybody has it."""
    import fcntl
    import threading

    lock = RunLock(tmp_path)
    lock.close()
    with (tmp_path / "run.lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.003, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        RunLock(tmp_path).close()


# -- the meter alone ---------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_rows_in_flight_from_an_earlier_run_are_counted_until_they_land() -> None:
    meter = Meter("job", Clock())
    meter(Started(5, 2))
    assert meter.view().standing == Standing({}, in_flight=2, waiting=3)
    meter(Landed("a", 7, usage={"total_input_tokens": 3, "total_output_tokens": 4}))
    meter(RowEnded("a", Outcome.SUCCEEDED, None, None))
    assert meter.view().standing == Standing({Outcome.SUCCEEDED: 1}, in_flight=1, waiting=3)
    assert meter.view().tokens.total == 7


def test_a_post_of_unknown_fate_is_in_flight_once_it_is_found() -> None:
    meter = Meter("job", Clock())
    meter(Started(1, 0))
    meter(Posted("a", "ambiguous"))
    assert meter.view().standing.in_flight == 0
    meter(Salvaged("a", "v1_x"))
    assert meter.view().standing.in_flight == 1


def test_a_pause_is_told_until_it_is_over() -> None:
    clock = Clock()
    meter = Meter("job", clock)
    meter(Started(1, 0))
    meter(Paused(30.0, "HTTP 429"))
    (notice,) = meter.view().notices
    assert notice == "the service asked for a pause: 30s more, then one request to see: HTTP 429"
    clock.now += 30
    assert meter.view().notices == ()


def test_a_run_that_tells_its_alerts_has_not_ended_yet() -> None:
    meter = Meter("job", Clock())
    for event in (Started(1, 0), Posted("a", "submitted"), Landed("a", 1), RowEnded("a", Outcome.SUCCEEDED, "", "")):
        meter(event)
    assert meter.view().state is State.ENDED
    meter(Telling())
    assert meter.view().state is State.TELLING


def test_what_is_left_is_not_told_while_the_user_pauses_or_stops_the_run() -> None:
    clock = Clock()
    meter = Meter("job", clock, rpm=60)
    meter(Started(1000, 0))
    for row in range(100):
        clock.now += 1
        for event in (
            Posted(f"{row}", "submitted"),
            Landed(f"{row}", 1),
            RowEnded(f"{row}", Outcome.SUCCEEDED, "", ""),
        ):
            meter(event)
        meter.view()
    assert meter.view().left is not None
    meter.paused, meter.rpm = True, 30
    assert (meter.view().state, meter.view().left, meter.view().rpm) == (State.PAUSED, None, 30)
    meter(Stopping("because"))
    assert (meter.view().state, meter.view().left) == (State.STOPPING, None)
    assert "because" in meter.view().notices


def test_a_warning_is_told_once_however_often_it_comes() -> None:
    meter = Meter("job", Clock())
    for _ in range(3):
        meter(Expiring("soon"))
    assert meter.view().warnings == ("soon",)


# -- parts of a view ---------------------------------------------------------------------------------------------------


def test_errors_are_grouped_by_class_the_last_ones_first_with_their_last_row() -> None:
    troubles = Troubles()
    for number in range(5):
        troubles.add("timed_out", f"r{number}", "late")
        troubles.add("api_error", f"s{number}", "broken")
    troubles.add("timed_out", "r9", "x" * 10_000)
    first, second = troubles.last
    assert (first.kind, first.count, first.key, len(first.message)) == ("timed_out", 6, "r9", 500)
    assert (second.kind, second.count, second.key) == ("api_error", 5, "s4")


def test_no_more_classes_are_kept_than_anybody_would_read() -> None:
    troubles = Troubles()
    for number in range(1000):
        troubles.add(f"kind-{number}", "r", "")
    assert len(troubles.last) == 32
    assert troubles.last[0].kind == "kind-999"


def test_rows_may_follow_as_long_as_an_earlier_stage_has_some() -> None:
    done, open_ = Standing({Outcome.SUCCEEDED: 3}), Standing({Outcome.SUCCEEDED: 3}, waiting=1)
    assert not rows_may_follow({})
    assert not rows_may_follow({"": open_})
    assert rows_may_follow({"a": open_, "b": done})
    assert not rows_may_follow({"a": done, "b": open_})


def test_both_show_a_pause_and_the_limits_that_were_set_meanwhile(tmp_path: Path) -> None:
    job, seen = Rehearsal(tmp_path, rows=40, limits={"rpm": 60}), list[tuple[View, View]]()
    meter, control = Meter("sums", job.clock.wall, rpm=60), Control(job.directory)

    def say(event: Event) -> None:
        meter(event)
        now = job.clock.wall()
        if isinstance(event, Started):
            os.utime(job.directory / "run.lock", (now, now))
            control.say(Verb.SET, {"limits.rpm": 120}, now, "me", myself())
            control.say(Verb.PAUSE, {}, now, "me", None)
        if isinstance(event, Steered):
            seen.append((meter.view(), look(RunDir(job.directory), now)))
        if isinstance(event, Steered) and event.limits:
            control.say(Verb.RESUME, {}, now, "me", myself())

    assert job.run(observe=say, looks=0.5).exit_code == 0
    assert [(ours.state, ours.rpm) for ours, _ in seen] == [
        (State.PAUSED, 60),
        (State.PAUSED, 120),
        (State.RUNNING, 120),
    ]
    assert seen[-1][1].rpm == 120
    assert seen[1][1].state is State.PAUSED


@pytest.mark.parametrize("verb", [Verb.DRAIN, Verb.DETACH])
def test_both_say_that_a_run_leaves_early_and_not_what_is_left(tmp_path: Path, verb: Verb) -> None:
    job, seen = Rehearsal(tmp_path, rows=60, limits={"rpm": 60, "in_flight": 30}), list[tuple[View, View]]()
    meter, control = Meter("sums", job.clock.wall, rpm=60), Control(job.directory)

    def say(event: Event) -> None:
        meter(event)
        now = job.clock.wall()
        if isinstance(event, Started):
            os.utime(job.directory / "run.lock", (now, now))
        if isinstance(event, RowEnded) and meter.view().standing.done == 20:
            control.say(verb, {}, now, "me", myself())
        seen.append((meter.view(), look(RunDir(job.directory), now)))

    assert job.run(observe=say, looks=0.5).exit_code is Exit.TRY_LATER
    assert {view.state for view in seen[20]} == {State.RUNNING}
    assert [(view.state, view.left) for view in seen[-1]] == [(State.LEAVING, None)] * 2
