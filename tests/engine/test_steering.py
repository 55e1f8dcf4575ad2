"""What is said to a run while it goes on: pause, resume, drain, detach. Virtual time, a real control file."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from batchrun.engine.engine import Engine
from batchrun.engine.events import Event, Observer, Polled, Posted, RowEnded, Steered, to_all
from batchrun.errors import Exit, Stopped, StoreError
from batchrun.runs.directory import RunDir
from batchrun.runs.options import Options
from batchrun.runs.run import Result, run
from batchrun.spec.load import load_job
from batchrun.store.control import Answer, Control, Verb
from batchrun.store.seal import is_sealed
from tests.engine.operated import Operator, operated, starts
from tests.engine.test_resume import stop_at_event
from tests.pipelines.piped import Piped, ask
from tests.rehearsal import Rehearsal


def tick(job: Rehearsal, observe: Observer) -> Result:
    options = Options(emulator=job.settings(latency="6h"), seed=1, patient=False)
    return run(load_job(job.write()), options, job.clock.wall, observe, job.clock.run)


# -- pause and resume ------------------------------------------------------------------------------------------------


def test_a_paused_run_sends_nothing_and_polls_what_is_in_flight(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 40, limits={"rpm": 60, "in_flight": 40})
    operator, result = operated(job, (Posted, 10, Verb.PAUSE, {}), (RowEnded, 8, Verb.RESUME, {}))
    assert result.exit_code is Exit.OK
    paused, resumed = operator.when("paused: "), operator.when("resumed: ")
    assert resumed > paused + 10
    assert not [at for at in starts(job) if paused < at < resumed]
    assert set(job.payments().values()) == {1}
    assert len(job.payments()) == 40
    assert [answer.done for answer in operator.answers if answer] == [True, True]
    assert "in flight go on and are polled" in operator.heard[0][1]


def test_a_paused_run_that_has_nothing_to_send_ends_with_its_last_row(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 5)
    operator, result = operated(job, (Posted, 5, Verb.PAUSE, {}))
    assert [answer.done for answer in operator.answers if answer] == [True]
    assert (result.exit_code, result.summary.succeeded) == (Exit.OK, 5)


def test_after_a_pause_requests_start_no_faster_than_the_limit(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 30, limits={"rpm": 60, "in_flight": 30, "posts": 16})
    operator, _ = operated(job, (Posted, 5, Verb.PAUSE, {}), (RowEnded, 5, Verb.RESUME, {}))
    later = [at for at in starts(job) if at > operator.when("resumed: ")]
    assert min(b - a for a, b in pairwise(later)) > 0.9


def test_the_further_turns_of_a_conversation_wait_too(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 4, request={"turns": ["Say {{ question }}", "Again"]})
    del job.spec["request"]["input"], job.spec["request"]["response_format"]
    operator, result = operated(job, (Posted, 4, Verb.PAUSE, {}), (Polled, 6, Verb.RESUME, {}))
    paused, resumed = operator.when("paused: "), operator.when("resumed: ")
    assert result.summary.succeeded == 4
    assert len(starts(job)) == 8
    assert not [at for at in starts(job) if paused < at < resumed]


def test_a_pause_holds_over_a_restart_which_says_so(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 10, limits={"in_flight": 4})
    operator = Operator(job, (Posted, 4, Verb.PAUSE, {}))
    with stop_at_event(9) as stop:
        assert job.run(observe=to_all(operator, stop), looks=0.5).exit_code is Exit.SIGINT
    sent = len(job.accepted())
    again, result = operated(job, (Steered, 1, Verb.RESUME, {}))
    assert "Paused since 2026-11-22 13:00" in again.heard[0][1]
    assert "by anna on here: nothing is sent until `batchrun resume`" in again.heard[0][1]
    assert sent < 10
    assert (result.exit_code, len(job.accepted())) == (Exit.OK, 10)


def test_a_paused_tick_collects_sends_nothing_and_says_why(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 6, limits={"in_flight": 3}, poll={"deadline": "12h"})
    operator = Operator(job)
    assert tick(job, operator).exit_code is Exit.OK
    operator.say(Verb.PAUSE, {})
    job.clock.now += 7 * 3600
    result = tick(job, operator)
    assert (result.exit_code, result.summary.succeeded, len(job.accepted())) == (Exit.TRY_LATER, 3, 3)
    assert "Paused since" in str(result.stopped_by)
    assert "0 in flight at the service, 3 not sent" in str(result.stopped_by)
    operator.say(Verb.RESUME, {})
    assert tick(job, operator).summary.in_flight == 3


def test_of_what_was_said_while_nobody_ran_only_the_last_counts(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 10)
    job.run(limit=1)
    operator = Operator(job)
    for verb in (Verb.PAUSE, Verb.RESUME, Verb.PAUSE):
        operator.say(verb, {})
    again, result = operated(job, (Steered, 1, Verb.DRAIN, {}))
    assert (result.exit_code, len(job.accepted())) == (Exit.TRY_LATER, 1)
    assert [answer and answer.text for answer in operator.answers] == [
        "it was paused already",
        "it was paused again since",
        "it was paused already",
    ]
    assert len(again.heard) == 3
    assert "Paused since" in str(result.stopped_by)


def test_a_paused_run_that_cannot_be_told_of_the_end_of_the_pause_ends(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 10)
    job.run(limit=1)
    Operator(job).say(Verb.PAUSE, {})
    assert (job.run().exit_code, len(job.accepted())) == (Exit.TRY_LATER, 1)


def test_a_signal_ends_a_paused_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Rehearsal(tmp_path, 10)
    operator = Operator(job)
    job.run(limit=1)
    operator.say(Verb.PAUSE, {})
    engines: list[Engine] = []

    def later(event: Event) -> None:
        if isinstance(event, Steered):
            stopped = Stopped("stop", signal.SIGINT)
            asyncio.get_running_loop().call_later(100, lambda: engines[-1].stop(stopped))

    monkeypatch.setattr("batchrun.runs.carrying.stop_gently", engines.append)
    result = job.run(observe=later, looks=0.5)
    assert isinstance(result.stopped_by, Stopped)
    assert (len(job.accepted()), job.clock.now > 100) == (1, True)


# -- drain -----------------------------------------------------------------------------------------------------------


def test_a_drained_run_ends_what_is_in_flight_begins_nothing_and_says_what_is_left(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 30, limits={"in_flight": 6, "rpm": 60})
    operator, result = operated(job, (Posted, 9, Verb.DRAIN, {}))
    assert result.exit_code is Exit.TRY_LATER
    assert result.summary.in_flight == 0
    assert result.summary.succeeded == len(job.accepted()) < 12
    assert f"0 in flight at the service, {30 - len(job.accepted())} not sent" in str(result.stopped_by)
    assert starts(job)[-1] <= operator.when("draining: ")
    assert job.run().exit_code is Exit.OK
    assert set(job.payments().values()) == {1}


def test_a_drained_conversation_goes_on_to_its_last_turn(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 10, limits={"in_flight": 3})
    del job.spec["request"]["input"], job.spec["request"]["response_format"]
    job.spec["request"]["turns"] = ["Say {{ question }}", "Again", "Once more"]
    _, result = operated(job, (Posted, 3, Verb.DRAIN, {}))
    assert (result.summary.succeeded, result.summary.pending, len(job.accepted())) == (3, 7, 9)


def test_a_run_that_is_drained_with_nothing_left_ends_as_ever(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 4)
    _, result = operated(job, (Posted, 4, Verb.DRAIN, {}))
    assert (result.exit_code, result.stopped_by) == (Exit.OK, None)


def test_a_paused_run_that_is_drained_leaves_what_it_may_not_send(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 10, limits={"in_flight": 3})
    _, result = operated(job, (Posted, 3, Verb.PAUSE, {}), (Posted, 3, Verb.DRAIN, {}))
    assert (result.exit_code, result.summary.succeeded, len(job.accepted())) == (Exit.TRY_LATER, 3, 3)
    assert "Paused since" in str(result.stopped_by)


def test_a_drained_row_gives_back_what_was_set_aside_for_it(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 10, limits={"in_flight": 3, "max_cost": 0.06, "rpm": 1})
    del job.spec["request"]["input"], job.spec["request"]["response_format"]
    job.spec["request"] |= {"turns": ["Say {{ question }}", "Again"], "generation_config": {"max_output_tokens": 2000}}
    _, result = operated(job, (Posted, 1, Verb.DRAIN, {}))
    assert (result.summary.succeeded, len(job.accepted())) == (1, 2)


# -- detach ----------------------------------------------------------------------------------------------------------


def test_a_detached_run_submits_all_and_ends_and_a_later_one_collects(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 30, limits={"rpm": 60, "in_flight": 30}, poll={"deadline": "12h"})
    _, result = operated(job, (Posted, 3, Verb.DETACH, {}), latency="1h")
    assert (result.exit_code, result.summary.in_flight, len(job.accepted())) == (Exit.TRY_LATER, 30, 30)
    assert "Detached: 30 in flight at the service, 0 not sent" in str(result.stopped_by)
    assert job.clock.now < 60
    assert job.run(latency="1h").exit_code is Exit.OK
    assert set(job.payments().values()) == {1}


def test_a_detached_run_says_how_many_rows_do_not_fit_in_flight(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 30, limits={"in_flight": 8}, poll={"deadline": "12h"})
    operator, result = operated(job, (Polled, 20, Verb.DETACH, {}), latency="6h")
    assert result.summary.in_flight == len(job.accepted()) == 8
    assert "22 not sent" in str(result.stopped_by)
    said = "detaching: of 30 rows 8 fit in flight (limits.in_flight): 22 cannot be submitted"
    assert operator.answers == [Answer(True, said)]


def test_a_paused_run_that_is_detached_just_ends(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 30, limits={"in_flight": 8, "rpm": 60}, poll={"deadline": "12h"})
    _, result = operated(job, (Posted, 4, Verb.PAUSE, {}), (Polled, 1, Verb.DETACH, {}), latency="6h")
    assert result.exit_code is Exit.TRY_LATER
    assert result.summary.in_flight == len(job.accepted()) < 8


def test_a_pause_ends_a_run_that_is_detached_and_still_submits(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 30, limits={"rpm": 60, "in_flight": 30}, poll={"deadline": "12h"})
    _, result = operated(job, (Posted, 3, Verb.DETACH, {}), (Posted, 6, Verb.PAUSE, {}), latency="6h")
    assert result.exit_code is Exit.TRY_LATER
    assert 6 <= result.summary.in_flight == len(job.accepted()) < 10


@pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.DRAIN, Verb.DETACH])
def test_a_pipeline_heeds_it_and_a_later_run_completes_it_with_nothing_paid_twice(tmp_path: Path, verb: Verb) -> None:
    stages = {"a": ask("say {{ word }}"), "b": ask("say {{ stages.a.output }}", needs="a")}
    job = Piped(tmp_path, stages, rows=12, limits={"in_flight": 5})
    resume = [(Steered, 1, Verb.RESUME, {})] if verb is Verb.PAUSE else []
    _, result = operated(job, (RowEnded, 4, verb, {}), *resume)
    assert result.exit_code is (Exit.OK if resume else Exit.TRY_LATER)
    if verb is Verb.DRAIN:
        assert result.summary.in_flight == 0
    assert job.run().summary.succeeded == 24
    assert len(set(job.sent())) == len(job.billed()) == 24


# -- whose wishes, and what becomes of them --------------------------------------------------------------------------


def test_what_was_said_to_another_process_is_not_heard_and_is_told_to_be_void(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 4)
    job.run(limit=1)
    control = Control(job.directory)
    stale = control.say(Verb.DRAIN, {}, job.clock.wall(), "anna on here", "process 1 on elsewhere")
    result = job.run(looks=0.5)
    assert result.exit_code is Exit.OK
    assert control.answered(stale) == Answer(None, "the run to which this was said had ended")


def test_of_a_flood_of_wishes_a_run_answers_what_it_can_and_its_end_waits_for_no_more(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 4)
    operator, result = operated(job, *[(RowEnded, 4, Verb.SET, {"limits.rpm": 300})] * 150)
    assert result.exit_code is Exit.OK
    done = [answer.done for answer in operator.answers if answer]
    assert len(done) == 150
    assert done.count(True) <= 100


def test_what_is_said_while_a_run_ends_is_answered_with_that(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 4)
    operator, _ = operated(job, (RowEnded, 4, Verb.DRAIN, {}))
    (answer,) = operator.answers
    assert answer is not None
    assert "ended" in answer.text


def test_a_run_that_ended_well_stays_sealed_whatever_is_said(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 4)
    job.run(limit=2)
    Operator(job).say(Verb.PAUSE, {})
    directory = RunDir(job.directory)
    assert is_sealed(directory.checkpoint, directory.ledger)


def spoil_with_noise(path: Path) -> None:
    path.write_bytes(b"noise" * 1000)


def spoil_with_later(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def spoil_with_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o400)


def spoil_without_end(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE wish")
        db.execute(
            """CREATE VIEW wish AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)
               SELECT id, 'set' AS verb, 1.0 AS said_at, '' AS said_by FROM n"""
        )


@pytest.mark.parametrize("spoil", [spoil_with_noise, spoil_with_later, spoil_with_pipe, spoil_without_end])
def test_a_run_that_cannot_tell_whether_it_is_paused_sends_nothing(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    job = Rehearsal(tmp_path, 4)
    job.run(limit=1)
    Operator(job).say(Verb.PAUSE, {})
    spoil(job.directory / "control.db")
    with pytest.raises(StoreError, match=r"control.db: (cannot be used.*may be removed|written by a newer)"):
        job.run()
    assert len(job.accepted()) == 1


def test_a_control_file_that_is_spoilt_meanwhile_is_told_once_and_stops_nothing(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 10)
    operator = Operator(job)

    def spoiling(event: Event) -> None:
        operator(event)
        if isinstance(event, Posted):
            spoil_with_noise(job.directory / "control.db")

    assert job.run(observe=spoiling, looks=0.5).exit_code is Exit.OK
    assert ["cannot be heard" in text for _, text in operator.heard][:1] == [True]
    assert len(operator.heard) <= 2
