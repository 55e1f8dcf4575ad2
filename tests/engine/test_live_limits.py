"""Limits that are set while a run goes on, and the parts that change then. Virtual time, a real control file."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from batchrun.engine.events import Posted, RowEnded
from batchrun.engine.limits import Limits
from batchrun.engine.room import Room
from batchrun.errors import Exit
from batchrun.store.control import Answer, Verb
from tests.engine.operated import operated, starts
from tests.pipelines.piped import Piped, ask
from tests.rehearsal import Rehearsal
from tests.virtual_time import VirtualTime


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


def test_however_absurd_a_limit_is_the_run_hears_what_is_said_after_it(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 12, limits={"max_cost": 100, "in_flight": 1})
    absurd = {"limits.max_cost": 1e308, "limits.rpm": 5e-324, "limits.tpm": 5e-324}
    sane = {"limits.max_cost": 50, "limits.rpm": 300, "limits.tpm": 1e6}
    plan = [(RowEnded, 2, Verb.SET, absurd), (RowEnded, 2, Verb.SET, sane), (RowEnded, 2, Verb.DRAIN, {})]
    operator, result = operated(job, *plan)
    assert [answer and answer.done for answer in operator.answers] == [True, True, True]
    assert result.exit_code is Exit.TRY_LATER


def test_a_run_that_reckons_no_costs_says_that_it_cannot_keep_a_limit_in_money(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 4)
    operator, result = operated(job, (Posted, 1, Verb.SET, {"limits.max_cost": 5}))
    (answer,) = operator.answers
    assert answer is not None
    assert not answer.done
    assert "--set limits.max_cost" in answer.text
    assert result.exit_code is Exit.OK


@pytest.mark.parametrize(
    "settings",
    [
        {"limits.rpm": "many"},
        {"request.model": "x"},
        {"limits.in_flight": None},
        {"limits.in_flight": 10**400},
        {"limits.tpm": float("inf")},
        {"limits.rpm": float("nan")},
        {"": 1},
    ],
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
