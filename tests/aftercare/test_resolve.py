"""POSTs of unknown fate, resolved by the user: found, given up or sent again. The emulator's ledger counts POSTs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batchrun.aftercare import resolution
from batchrun.aftercare.verification import verify
from batchrun.errors import CredentialError, Exit, LockedError, RefusedError, SpecError
from batchrun.runs.directory import RunDir
from batchrun.runs.run import retry
from batchrun.spec.load import load_job
from batchrun.store.lock import RunLock
from tests.aftercare.visits import attempts, options, statuses
from tests.engine.test_resume import death
from tests.rehearsal import Rehearsal

HOLD = {"ambiguous": {"model": "hold"}}


def held(where: Path, seed: int = 1) -> Rehearsal:
    """A job one of whose POSTs was billed without our hearing of it."""
    job = Rehearsal(where, rows=3, limits={"posts": 1}, retry=HOLD)
    assert job.run(faults="drop_after:#2", seed=seed).exit_code is Exit.ROWS_HELD
    return job


def doubtful(job: Rehearsal) -> str:
    (doubt,) = resolution.open_doubts(RunDir(job.directory)).doubts
    return doubt.key


def unknown_id(job: Rehearsal) -> str:
    """The id of the interaction that nobody told us of, as the service's console would show it."""
    known = {attempt.interaction_id for attempt in attempts(job)}
    (found,) = [line["id"] for line in job.accepted() if line["id"] not in known]
    return str(found)


def find(job: Rehearsal, key: str, interaction_id: str, **emulator: Any) -> str:
    service, loaded = options(job, **emulator), load_job(job.write())
    return resolution.find(loaded, RunDir(job.directory), service, key, interaction_id, job.clock.wall, job.clock.run)


def test_every_doubtful_post_is_listed_with_its_label_and_what_it_may_have_cost(tmp_path: Path) -> None:
    job = held(tmp_path)
    found = resolution.open_doubts(RunDir(job.directory))
    (doubt,) = found.doubts
    (attempt,) = [each for each in attempts(job) if each.state == "ambiguous"]
    assert (doubt.key, doubt.intent_key, doubt.held) == (attempt.key, attempt.intent_key, True)
    assert "Disconnected" in (doubt.evidence or "") or "disconnected" in (doubt.evidence or "")
    assert found.mean["gemini-3.5-flash"] > 0


def test_an_interaction_that_the_user_found_is_fetched_without_another_post(tmp_path: Path) -> None:
    job = held(tmp_path)
    key, name, sent = doubtful(job), unknown_id(job), len(job.ledger())
    assert find(job, key, name) == "completed"
    assert verify(RunDir(job.directory)).differences == ()
    assert name in (job.directory / "run.ledger").read_text()
    assert statuses(job)[key] == "pending"
    result = job.run()
    assert (result.exit_code, len(job.ledger()), result.summary.possibly_billed_twice) == (Exit.OK, sent, 0)
    (row,) = [row for row in job.usage() if row["key"] == key]
    assert (row["interaction_id"], row["billed"], row["posts"]) == (name, True, 1)
    assert row["total_tokens"] > 0


def test_an_interaction_that_still_runs_is_waited_for(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=1, retry=HOLD)
    job.run(faults="drop_after", latency="30m")
    assert find(job, "r0", unknown_id(job), latency="30m") == "in_progress"
    assert job.run(latency="30m").exit_code is Exit.OK
    assert len(job.ledger()) == 1


def test_a_turn_in_the_midst_of_a_conversation_is_found_too(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=1, retry=HOLD)
    job.spec["request"] = {"model": "gemini-3.5-flash", "turns": [{"input": f"{n}: {{{{ question }}}}"} for n in "abc"]}
    assert job.run(faults="drop_after:#2").exit_code is Exit.ROWS_HELD
    find(job, "r0", unknown_id(job))
    assert job.run().exit_code is Exit.OK
    assert len(job.ledger()) == 3


def test_an_interaction_of_another_row_or_run_is_refused_by_its_label(tmp_path: Path) -> None:
    job, other = held(tmp_path / "one"), held(tmp_path / "other", seed=2)
    key, own = doubtful(job), next(each for each in attempts(job) if each.interaction_id)
    with pytest.raises(SpecError, match=f"is known as that of row '{own.key}'"):
        find(job, key, own.interaction_id or "")
    with pytest.raises(SpecError, match=r"its label batchrun-intent is 'br1-\w+' \(something else\), not 'br1-"):
        find(job, key, unknown_id(other), state=tmp_path / "other" / "emulator.db")
    assert statuses(job)[key] == "ambiguous"
    assert doubtful(job) == key


def test_the_label_tells_which_doubtful_row_an_interaction_belongs_to(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2, limits={"posts": 1}, retry=HOLD)
    job.run(faults="drop_after")
    names = {line["labels"]["batchrun-intent"]: line["id"] for line in job.accepted()}
    doubts = {doubt.key: names[doubt.intent_key] for doubt in resolution.open_doubts(RunDir(job.directory)).doubts}
    with pytest.raises(SpecError, match=r"\(row 'r1'\), not"):
        find(job, "r0", doubts["r1"])
    for key, name in doubts.items():
        find(job, key, name)
    assert job.run().exit_code is Exit.OK
    assert len(job.ledger()) == 2


def test_an_interaction_without_the_label_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchrun.emulator.views._ECHOED", ("model",))
    job = held(tmp_path)
    with pytest.raises(SpecError, match="has no label batchrun-intent, so nothing proves"):
        find(job, doubtful(job), unknown_id(job))


def test_an_id_that_the_service_does_not_know_or_that_can_be_none_is_refused(tmp_path: Path) -> None:
    job = held(tmp_path)
    with pytest.raises(SpecError, match="the service has no interaction v1_nothing for this API key"):
        find(job, doubtful(job), "v1_nothing")
    for odd in ("../files/x", "", "a b", "x" * 300, "\x1b[2J"):
        with pytest.raises(SpecError, match="cannot be the id"):
            find(job, doubtful(job), odd)
    assert statuses(job)[doubtful(job)] == "ambiguous"


@pytest.mark.parametrize(("fault", "error"), [("get/bad_key", CredentialError), ("get/500", RefusedError)])
def test_a_service_that_does_not_tell_changes_nothing(tmp_path: Path, fault: str, error: type[Exception]) -> None:
    job = held(tmp_path)
    with pytest.raises(error):
        find(job, doubtful(job), unknown_id(job), faults=fault)
    assert statuses(job)[doubtful(job)] == "ambiguous"


def test_a_passing_trouble_of_the_service_is_waited_out(tmp_path: Path) -> None:
    job = held(tmp_path)
    assert find(job, doubtful(job), unknown_id(job), faults="get/500:#1") == "completed"


def test_a_post_that_is_given_up_ends_its_row_and_stays_in_doubt_in_the_books(tmp_path: Path) -> None:
    job = held(tmp_path)
    key = doubtful(job)
    resolution.give_up(load_job(job.write()), RunDir(job.directory), key, job.clock.wall())
    row = next(row for row in job.results() if row["key"] == key)
    assert (row["status"], row["error_class"]) == ("failed", "given_up")
    assert next(row["billed"] for row in job.usage() if row["key"] == key) is None
    result = job.run()
    assert (result.exit_code, len(job.ledger())) == (Exit.SOME_ROWS_FAILED, 3)
    assert resolution.open_doubts(RunDir(job.directory)).doubts == ()


def test_a_row_that_was_given_up_is_sent_again_only_by_retry_and_counted(tmp_path: Path) -> None:
    job = held(tmp_path)
    resolution.give_up(load_job(job.write()), RunDir(job.directory), doubtful(job), job.clock.wall())
    assert retry(load_job(job.write()), RunDir(job.directory), ["failed"], [], job.clock.wall()).to_send == 1
    assert job.run().summary.possibly_billed_twice == 1


def test_a_row_that_is_sent_again_is_counted_as_perhaps_billed_twice_and_not_as_the_policys(tmp_path: Path) -> None:
    job = held(tmp_path)
    key = doubtful(job)
    resolution.send_again(load_job(job.write()), RunDir(job.directory), key, job.clock.wall())
    result = job.run()
    assert (result.exit_code, len(job.ledger()), result.summary.possibly_billed_twice) == (Exit.OK, 4, 1)
    mine = [row for row in job.usage() if row["key"] == key]
    assert [(row["state"], row["superseded"]) for row in mine] == [("ambiguous", True), ("fetched", False)]


def test_a_post_that_a_dead_process_left_can_be_resolved_before_the_next_run_decides(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3, limits={"posts": 1})
    with death(2, before=True):
        job.run()
    (doubt,) = resolution.open_doubts(RunDir(job.directory)).doubts
    assert not doubt.held
    assert find(job, doubt.key, unknown_id(job)) in ("in_progress", "completed")
    result = job.run()
    assert (result.exit_code, len(job.ledger()), result.died_before) == (Exit.OK, 3, 0)


@pytest.mark.parametrize("decide", [resolution.give_up, resolution.send_again])
def test_a_row_that_is_in_no_doubt_is_told_what_it_is(tmp_path: Path, decide: Any) -> None:
    job = held(tmp_path)
    loaded, directory = load_job(job.write()), RunDir(job.directory)
    well = next(key for key, status in statuses(job).items() if status == "succeeded")
    with pytest.raises(SpecError, match="needs no resolving: it is succeeded"):
        decide(loaded, directory, well, job.clock.wall())
    with pytest.raises(SpecError, match="no row has the key 'nobody'"):
        decide(loaded, directory, "nobody", job.clock.wall())
    decide(loaded, directory, doubtful(job), job.clock.wall())


def test_nothing_is_resolved_while_the_run_goes_on(tmp_path: Path) -> None:
    job = held(tmp_path)
    lock = RunLock(job.directory)
    try:
        with pytest.raises(LockedError, match="Stop it first"):
            resolution.give_up(load_job(job.write()), RunDir(job.directory), doubtful(job), job.clock.wall())
        with pytest.raises(LockedError, match="Stop it first"):
            find(job, doubtful(job), unknown_id(job))
    finally:
        lock.close()


def test_a_key_in_doubt_is_resolved_once(tmp_path: Path) -> None:
    job = held(tmp_path)
    key, name = doubtful(job), unknown_id(job)
    find(job, key, name)
    with pytest.raises(SpecError, match="it is pending, and none of its POSTs is in doubt"):
        find(job, key, "another-id")
