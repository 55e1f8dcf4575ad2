"""Cancelling what is in flight: the service's own word decides, answers are kept, nothing is lost or paid twice."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from batchrun.aftercare.cancellation import Fate
from batchrun.errors import CredentialError, Exit, LockedError, RefusedError, SpecError, Stopped
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Call, NotSent
from batchrun.runs.directory import RunDir
from batchrun.runs.run import retry
from batchrun.spec.load import load_job
from batchrun.store.lock import RunLock
from tests.aftercare.visits import attempts, cancel_all, leave_in_flight, statuses
from tests.engine.test_resume import death
from tests.rehearsal import Rehearsal


def in_flight(where: Path, rows: int = 5, **changes: object) -> Rehearsal:
    job = Rehearsal(where, rows=rows, **changes)
    leave_in_flight(job)
    return job


def test_what_is_in_flight_is_stopped_and_its_rows_end_as_cancelled(tmp_path: Path) -> None:
    job = in_flight(tmp_path)
    done = cancel_all(job)
    assert done.fates == {Fate.CANCELLED: 5}
    assert done.exit_code is Exit.OK
    assert {(row["status"], row["error_class"]) for row in job.results()} == {("failed", "cancelled")}
    assert {attempt.interaction_status for attempt in attempts(job)} == {"cancelled"}
    assert cancel_all(job).asked == ()


def test_cancelled_rows_are_sent_again_only_by_retry(tmp_path: Path) -> None:
    job = in_flight(tmp_path, rows=2)
    cancel_all(job)
    assert job.run().nothing_to_do
    assert retry(load_job(job.write()), RunDir(job.directory), ["failed"], [], job.clock.wall()).to_send == 2
    assert job.run().exit_code is Exit.OK
    assert len(job.accepted()) == 4


def test_only_the_rows_that_are_named_are_cancelled(tmp_path: Path) -> None:
    job = in_flight(tmp_path, rows=3)
    assert [asked.key for asked in cancel_all(job, "r1").asked] == ["r1"]
    assert statuses(job) == {"r0": "pending", "r1": "failed", "r2": "pending"}
    with pytest.raises(SpecError, match="'r9'"):
        cancel_all(job, "r9")


def test_rows_that_were_never_sent_stay_pending(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=5, limits={"in_flight": 2})
    leave_in_flight(job, submitted=2)
    done = cancel_all(job)
    assert (done.fates[Fate.CANCELLED], done.summary.pending) == (2, 3)
    assert Counter(statuses(job).values()) == {"failed": 2, "pending": 3}


def test_posts_of_unknown_fate_are_told_because_nobody_can_cancel_them(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=4, retry={"ambiguous": {"model": "hold"}})
    leave_in_flight(job, faults="drop_after:#1")
    done = cancel_all(job)
    assert (done.fates[Fate.CANCELLED], done.nameless) == (3, 1)


def test_an_answer_that_came_before_the_cancel_is_kept_and_concluded_for_free(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3)
    leave_in_flight(job, latency="30s")
    job.clock.now += 60.0
    done = cancel_all(job)
    assert done.fates == {Fate.ANSWERED: 3}
    assert all(attempt.usage for attempt in attempts(job))
    polls = sum(attempt.polls for attempt in attempts(job))
    assert set(statuses(job).values()) == {"pending"}
    result = job.run()
    assert (result.exit_code, result.summary.posts, result.summary.polls) == (Exit.OK, 3, polls)


def test_usage_that_follows_an_answer_late_is_waited_for(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2)
    leave_in_flight(job, latency="1s", faults="late_usage=5s")
    job.clock.now += 1.0
    assert cancel_all(job).fates == {Fate.ANSWERED: 2}
    assert all(attempt.usage for attempt in attempts(job))


@pytest.mark.parametrize("trouble", ["499_on_cancel", "cancel/reset_before:#2", "cancel/503:#1", "get/429:#1"])
def test_the_answer_to_a_cancel_proves_nothing_but_a_look_does(tmp_path: Path, trouble: str) -> None:
    job = in_flight(tmp_path)
    done = cancel_all(job, faults=trouble)
    unheard = int("#" in trouble and trouble.startswith("cancel"))
    assert (done.fates[Fate.CANCELLED], done.fates[Fate.RUNNING]) == (5 - unheard, unheard)
    assert Counter(statuses(job).values())["pending"] == unheard
    assert cancel_all(job).fates[Fate.CANCELLED] == unheard


def test_a_service_that_cannot_cancel_is_said_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def not_there(self: Client, interaction_id: str) -> Call:
        return await self._call("POST", f"{self._url}/{interaction_id}/no-such-method")

    monkeypatch.setattr(Client, "cancel", not_there)
    job = in_flight(tmp_path)
    done = cancel_all(job)
    assert {(asked.fate, asked.said) for asked in done.asked} == {(Fate.RUNNING, "status in_progress")}
    assert done.exit_code is Exit.SOME_ROWS_FAILED
    assert done.summary.in_flight == 5
    assert job.run().exit_code is Exit.OK
    assert len(job.accepted()) == 5


def test_an_interaction_that_the_service_does_not_show_is_not_given_up(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2)
    leave_in_flight(job, faults="404_after_create=5m")
    assert cancel_all(job).fates == {Fate.UNKNOWN: 2}
    assert {str(attempt.state) for attempt in attempts(job)} == {"submitted"}


def test_a_request_that_was_edited_meanwhile_can_still_be_cancelled(tmp_path: Path) -> None:
    job = in_flight(tmp_path, rows=1)
    job.spec["request"]["input"] = "Something else: {{ question }}"
    assert cancel_all(job).fates == {Fate.CANCELLED: 1}


def test_a_run_that_goes_on_is_to_be_stopped_first(tmp_path: Path) -> None:
    job = in_flight(tmp_path)
    lock = RunLock(job.directory)
    with pytest.raises(LockedError, match="Stop it first"):
        cancel_all(job)
    lock.close()
    assert cancel_all(job).fates == {Fate.CANCELLED: 5}


def test_a_key_that_is_not_accepted_stops_the_command(tmp_path: Path) -> None:
    job = in_flight(tmp_path)
    with pytest.raises(CredentialError):
        cancel_all(job, bad_keys=frozenset({"emulator"}))
    assert cancel_all(job).fates == {Fate.CANCELLED: 5}


def test_a_service_that_is_silent_is_not_asked_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, calls = in_flight(tmp_path, rows=40), []

    async def unreachable(self: Client, interaction_id: str) -> Call:
        calls.append(interaction_id)
        return NotSent("no network")

    with monkeypatch.context() as patch:
        patch.setattr(Client, "cancel", unreachable)
        patch.setattr(Client, "get", unreachable)
        with pytest.raises(RefusedError, match="no network"):
            cancel_all(job)
    assert len(calls) < 100
    assert cancel_all(job).fates == {Fate.CANCELLED: 40}


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("commit", [1, 2])
def test_a_cancel_that_is_killed_is_made_whole_by_the_next(tmp_path: Path, commit: int, before: bool) -> None:
    job = in_flight(tmp_path, limits={"posts": 2})
    with death(commit, before=before):
        cancel_all(job)
    cancel_all(job)
    assert set(statuses(job).values()) == {"failed"}
    assert {attempt.interaction_status for attempt in attempts(job)} == {"cancelled"}


def test_a_signal_stops_it_and_what_was_done_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, real, asked = in_flight(tmp_path, limits={"posts": 1}), Client.get, []

    async def get(self: Client, interaction_id: str) -> Call:
        asked.append(interaction_id)
        if len(asked) == 3:
            signal.raise_signal(signal.SIGINT)
        return await real(self, interaction_id)

    with monkeypatch.context() as patch:
        patch.setattr(Client, "get", get)
        with pytest.raises(Stopped) as stopped:
            cancel_all(job)
    assert stopped.value.exit_code is Exit.SIGINT
    assert Counter(attempt.interaction_status for attempt in attempts(job))["cancelled"] in (2, 3)
    cancel_all(job)
    assert set(statuses(job).values()) == {"failed"}
