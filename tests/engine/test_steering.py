"""What is said to a run while it goes on: pause, resume, set, drain, detach. Virtual time, a real control file."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from batchrun.engine.engine import Engine
from batchrun.engine.events import Event, Observer, Polled, Posted, RowEnded, Steered, to_all
from batchrun.engine.limits import Limits
from batchrun.engine.room import Room
from batchrun.errors import Exit, Stopped, StoreError
from batchrun.runs.directory import RunDir
from batchrun.runs.options import Options
from batchrun.runs.run import Result, run
from batchrun.spec.load import load_job
from batchrun.store.control import Answer, Control, Verb
from batchrun.store.lock import myself
from batchrun.store.seal import is_sealed
from tests.engine.test_resume import stop_at_event
from tests.pipelines.piped import Piped, ask
from tests.rehearsal import Rehearsal
from tests.virtual_time import VirtualTime

#: At which event, the how manieth of its kind, what is said.
Step = tuple[type[Event], int, Verb, dict[str, Any]]
LASTING = (Verb.PAUSE, Verb.RESUME)


class Operator:
    """Says things at events, by how often each kind has come. `heard` is what the run said of them, and when."""

    def __init__(self, job: Rehearsal, *plan: Step) -> None:
        self._job, self._plan, self._seen = job, list(plan), dict[type[Event], int]()
        self.heard: list[tuple[float, str]] = []
        self.numbers: list[int] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Steered):
            self.heard.append((self._job.clock.wall(), event.text))
        count = self._seen[type(event)] = self._seen.get(type(event), 0) + 1
        for kind, number, verb, settings in self._plan:
            if isinstance(event, kind) and count == number:
                self.say(verb, settings)

    def say(self, verb: Verb, settings: dict[str, Any]) -> None:
        to = None if verb in LASTING else myself()
        self.numbers.append(self.control.say(verb, settings, self._job.clock.wall(), "anna on here", to))

    @property
    def control(self) -> Control:
        return Control(self._job.directory)

    @property
    def answers(self) -> list[Answer | None]:
        return [self.control.answered(number) for number in self.numbers]

    def when(self, words: str) -> float:
        return next(at for at, text in self.heard if words in text)


def operated(job: Rehearsal, *plan: Step, **more: Any) -> tuple[Operator, Result]:
    operator = Operator(job, *plan)
    return operator, job.run(observe=operator, looks=0.5, **more)


def starts(job: Rehearsal) -> list[float]:
    return sorted(line["time"] for line in job.accepted())


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


# -- set -------------------------------------------------------------------------------------------------------------


def test_another_rate_holds_at_once_also_for_the_row_that_waits(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 30, limits={"rpm": 1, "in_flight": 30})
    operator, result = operated(job, (Posted, 1, Verb.SET, {"limits.rpm": 600}))
    assert result.exit_code is Exit.OK
    assert operator.answers == [Answer(True, "limits.rpm is 600 now, and was 1")]
    assert starts(job)[-1] - starts(job)[0] < 6


def test_a_lower_rate_holds_from_then_on(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 30, limits={"rpm": 600, "in_flight": 30})
    operator, _ = operated(job, (Posted, 10, Verb.SET, {"limits.rpm": 6, "limits.tpm": None}))
    later = [at for at in starts(job) if at > operator.when("limits.rpm is 6 now")]
    assert min(b - a for a, b in pairwise(later)) > 9


def test_a_limit_can_be_taken_away(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 30, limits={"rpm": 6, "in_flight": 30})
    operator, _ = operated(job, (Posted, 2, Verb.SET, {"limits.rpm": None}))
    assert operator.answers == [Answer(True, "limits.rpm is without limit now, and was 6")]
    assert starts(job)[-1] - starts(job)[2] < 2


def in_flight_at(job: Rehearsal, moment: float, latency: float) -> int:
    return sum(moment - latency <= at <= moment for at in starts(job))


def test_less_room_lets_rows_end_before_another_begins_and_more_room_is_used_at_once(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 60, limits={"in_flight": 10})
    plan = ((Posted, 10, Verb.SET, {"limits.in_flight": 2}), (RowEnded, 16, Verb.SET, {"limits.in_flight": 30}))
    operator, result = operated(job, *plan, latency="60s")
    less, more = operator.when("is 2 now, and was 10"), operator.when("is 30 now, and was 2")
    assert result.exit_code is Exit.OK
    assert max(in_flight_at(job, at, 59) for at in starts(job) if less + 61 < at <= more) <= 2
    assert max(in_flight_at(job, at, 59) for at in starts(job) if at > more) > 20


def test_rows_that_were_begun_and_not_sent_make_way_for_less_room_and_are_all_sent_in_the_end(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 20, limits={"in_flight": 20, "rpm": 60, "max_cost": 5})
    job.spec["request"]["generation_config"] = {"max_output_tokens": 2000}
    operator, result = operated(job, (Posted, 2, Verb.SET, {"limits.in_flight": 3}), latency="60s")
    assert result.exit_code is Exit.OK
    assert max(in_flight_at(job, at, 59) for at in starts(job)) == 3
    assert len(job.payments()) == len(job.accepted()) == 20
    assert operator.when("is 3 now, and was 20") < starts(job)[2] + 1


def test_a_limit_in_money_below_what_is_charged_stops_sending_and_fails_no_row(tmp_path: Path) -> None:
    request = {"generation_config": {"max_output_tokens": 2000}}
    job = Rehearsal(tmp_path, 40, request=request, limits={"max_cost": 5, "in_flight": 8})
    _, result = operated(job, (RowEnded, 6, Verb.SET, {"limits.max_cost": 0.001}))
    assert result.exit_code is Exit.TRY_LATER
    assert "limits.max_cost of $0.001 leaves no room" in str(result.stopped_by)
    assert (result.summary.failed, result.summary.in_flight) == (0, 0)
    assert 6 <= result.summary.succeeded < 40


def test_a_raised_limit_in_money_lets_the_run_go_on(tmp_path: Path) -> None:
    request = {"generation_config": {"max_output_tokens": 2000}}
    job = Rehearsal(tmp_path, 20, request=request, limits={"max_cost": 0.04, "in_flight": 2})
    operator, result = operated(job, (Posted, 1, Verb.SET, {"limits.max_cost": 5}))
    assert operator.answers == [Answer(True, "limits.max_cost is 5 now, and was 0.04")]
    assert result.exit_code is Exit.OK


def test_a_run_that_reckons_no_costs_says_that_it_cannot_keep_a_limit_in_money(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 4)
    operator, result = operated(job, (Posted, 1, Verb.SET, {"limits.max_cost": 5}))
    (answer,) = operator.answers
    assert answer is not None
    assert not answer.done
    assert "--set limits.max_cost" in answer.text
    assert result.exit_code is Exit.OK


@pytest.mark.parametrize(
    "settings", [{"limits.rpm": "many"}, {"request.model": "x"}, {"limits.in_flight": None}, {"": 1}]
)
def test_what_the_job_file_would_refuse_is_refused_live_whoever_wrote_it(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    job = Rehearsal(tmp_path, 4)
    operator, result = operated(job, (Posted, 1, Verb.SET, settings))
    assert [answer.done for answer in operator.answers if answer] == [False]
    assert result.exit_code is Exit.OK


def test_a_stage_gets_a_limit_of_its_own(tmp_path: Path) -> None:
    stages = {"a": ask("say {{ word }}"), "b": ask("say {{ stages.a.output }}", needs="a")}
    job = Piped(tmp_path, stages, rows=12)
    settings = {"stages.b.limits.rpm": 6, "limits.rpm": 600}
    operator, result = operated(job, (Posted, 1, Verb.SET, settings))
    assert result.summary.succeeded == 24
    times = dict(zip(job.sent(), starts(job), strict=True))
    later = sorted(at for key, at in times.items() if key.startswith("b:"))
    assert min(b - a for a, b in pairwise(later)) > 9
    assert operator.answers[0] is not None
    again, _ = operated(Piped(tmp_path / "other", stages), (Posted, 1, Verb.SET, {"stages.c.limits.rpm": 6}))
    assert again.answers == [Answer(False, "there is no stage 'c'; there are a, b")]
    plain, _ = operated(Rehearsal(tmp_path / "plain", 4), (Posted, 1, Verb.SET, {"stages.c.limits.rpm": 6}))
    assert plain.answers == [Answer(False, "there is no stage 'c'; this job has none")]


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


@pytest.mark.parametrize("spoil", [spoil_with_noise, spoil_with_later])
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


# -- the parts -------------------------------------------------------------------------------------------------------


def test_a_wait_under_way_is_shorter_or_longer_by_as_much_as_the_rate() -> None:
    limits = Limits(rpm=1)
    limits.take(0.0)
    assert limits.set_rpm(60, 30.0) == 1
    assert limits.wait(30.0) == pytest.approx(0.5)
    limits.set_rpm(6, 30.0)
    assert limits.wait(30.0) == pytest.approx(5.0)
    limits.set_rpm(None, 31.0)
    assert limits.wait(31.0) == 0


def test_room_made_smaller_than_what_is_taken_gives_none_until_enough_is_back() -> None:
    async def story() -> list[bool]:
        room = Room(3)
        first = [await room.take() for _ in range(3)]
        room.resize(1)
        asyncio.get_running_loop().call_later(1, room.give_back)
        asyncio.get_running_loop().call_later(2, room.give_back)
        asyncio.get_running_loop().call_later(3, room.give_back)
        again = await room.take()
        began.append(clock.now)
        room.leave()
        return [*first, again, await room.take()]

    clock, began = VirtualTime(), list[float]()
    assert clock.run(story()) == [True, True, True, True, False]
    assert began == [3.0]
