"""Purging: everything with an id is deleted at the service, once; what is on this machine stays and stays usable."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from batchrun.errors import CredentialError, Exit, LockedError, SpecError, StoreError
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Call, NotSent, Reply
from batchrun.runs.directory import RunDir
from batchrun.runs.run import retry
from batchrun.runs.service import emulated_client
from batchrun.spec.load import load_job
from batchrun.store.lock import RunLock
from batchrun.store.store import Store
from tests.aftercare.visits import attempts, cancel_all, leave_in_flight, purge_all, statuses
from tests.emulator.media_files import picture
from tests.engine.test_resume import death, stop_at_event
from tests.engine.test_talks import by_turn, interview, plan, sent, tell
from tests.rehearsal import Rehearsal

__all__ = ["sent"]


def finished(where: Path, rows: int = 6, **changes: Any) -> Rehearsal:
    job = Rehearsal(where, rows=rows, **changes)
    assert job.run().exit_code is Exit.OK
    return job


def left_at_the_service(job: Rehearsal) -> set[str]:
    """The interactions that the service still shows, of all that it ever accepted."""

    async def look() -> set[str]:
        client = emulated_client(job.settings(), "v1beta")
        try:
            calls = {line["id"]: await client.get(line["id"]) for line in job.accepted()}
        finally:
            await client.aclose()
        return {name for name, call in calls.items() if isinstance(call, Reply) and call.ok}

    return asyncio.run(look())


def again(job: Rehearsal, *outcomes: str) -> int:
    return retry(load_job(job.write()), RunDir(job.directory), list(outcomes), [], job.clock.wall()).to_send


def test_every_interaction_is_deleted_and_the_results_stay(tmp_path: Path) -> None:
    job = finished(tmp_path)
    before = job.results()
    assert len(left_at_the_service(job)) == 6
    done = purge_all(job)
    assert (done.deleted, done.gone, done.exit_code) == (6, 0, Exit.OK)
    assert left_at_the_service(job) == set()
    assert job.results() == before
    assert all(attempt.purged_at for attempt in attempts(job))


def test_a_second_purge_does_the_rest_and_a_third_nothing(tmp_path: Path) -> None:
    job = finished(tmp_path)
    first = purge_all(job, faults="delete/402:#2")
    assert (first.deleted, len(first.kept), first.exit_code) == (5, 1, Exit.SOME_ROWS_FAILED)
    assert "402" in first.kept[0].why
    assert (purge_all(job).deleted, left_at_the_service(job)) == (1, set())
    assert purge_all(job).deleted == 0


def test_attempts_that_were_replaced_are_deleted_too(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3, retry={"attempts": 5})
    job.run(faults="failed:#1,failed:#2,failed:#3")
    assert len(job.accepted()) == 6
    assert purge_all(job).deleted == 6
    assert left_at_the_service(job) == set()


@pytest.mark.parametrize("trouble", ["delete/503:0.5", "delete/reset_before:0.5", "delete/429:0.5"])
def test_passing_troubles_are_waited_out(tmp_path: Path, trouble: str) -> None:
    job = finished(tmp_path, rows=10)
    purge_all(job, faults=trouble)
    purge_all(job)
    assert left_at_the_service(job) == set()
    assert all(attempt.purged_at for attempt in attempts(job))


def test_what_is_gone_already_counts_as_deleted(tmp_path: Path) -> None:
    job = finished(tmp_path)
    delete_at_the_service(job, job.accepted()[:4])
    done = purge_all(job)
    assert (done.deleted, done.gone) == (2, 4)
    assert all(attempt.purged_at for attempt in attempts(job))


def delete_at_the_service(job: Rehearsal, lines: list[dict[str, Any]]) -> None:
    async def delete() -> None:
        client = emulated_client(job.settings(), "v1beta")
        for line in lines:
            await client.delete(line["id"])
        await client.aclose()

    asyncio.run(delete())


def test_a_service_that_knows_nothing_may_be_another_projects(tmp_path: Path) -> None:
    job = finished(tmp_path)
    delete_at_the_service(job, job.accepted())
    with pytest.raises(CredentialError, match="another project"):
        purge_all(job)
    assert not any(attempt.purged_at for attempt in attempts(job))
    assert purge_all(job, force=True).gone == 6


def test_an_unknown_path_is_no_proof_of_a_deletion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def elsewhere(self: Client, interaction_id: str) -> Call:
        return await self._call("DELETE", f"{self._url}/no/such/{interaction_id}")

    job = finished(tmp_path, rows=2)
    monkeypatch.setattr(Client, "delete", elsewhere)
    done = purge_all(job)
    assert (done.deleted, done.gone, len(done.kept)) == (0, 0, 2)


def test_rows_that_are_open_are_not_purged_unless_by_force(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=4, limits={"in_flight": 2})
    leave_in_flight(job, submitted=2)
    with pytest.raises(SpecError, match="2 rows are begun"):
        purge_all(job)
    done = purge_all(job, force=True)
    assert (done.deleted, done.running, done.exit_code) == (0, 2, Exit.SOME_ROWS_FAILED)
    assert len(left_at_the_service(job)) == 2
    cancel_all(job)
    assert purge_all(job).deleted == 2
    assert left_at_the_service(job) == set()
    assert job.run().summary.succeeded == 2


def test_a_row_that_only_has_to_be_concluded_needs_the_service_no_more(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3)
    leave_in_flight(job, latency="30s")
    job.clock.now += 60.0
    cancel_all(job)
    assert purge_all(job, force=True).deleted == 3
    assert job.run().exit_code is Exit.OK
    assert len(job.accepted()) == 3


def test_outputs_are_made_before_anything_is_deleted(tmp_path: Path) -> None:
    job = finished(tmp_path)
    before = job.results()
    (job.directory / "results.parquet").unlink()
    purge_all(job)
    assert job.results() == before


def test_a_disk_that_refuses_the_results_keeps_the_interactions(tmp_path: Path) -> None:
    job = finished(tmp_path)
    (job.directory / "results.parquet").unlink()
    (job.directory / "results.parquet").mkdir()
    with pytest.raises(StoreError, match=r"results\.parquet"):
        purge_all(job)
    assert len(left_at_the_service(job)) == 6


def test_a_run_that_goes_on_is_not_purged(tmp_path: Path) -> None:
    job = finished(tmp_path)
    lock = RunLock(job.directory)
    with pytest.raises(LockedError, match="Stop it first"):
        purge_all(job)
    lock.close()


def test_an_uploaded_file_that_cannot_be_deleted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scan.png").write_bytes(picture(8, 8))
    parts = [{"type": "image", "path": "scan.png"}, {"type": "text", "text": "{{ question }}"}]
    job = finished(tmp_path, rows=1, request={"input": parts, "inline_limit": 0})
    real = Client.beside

    async def beside(self: Client, method: str, *others: Any, **more: Any) -> Call:
        return NotSent("no way there") if method == "DELETE" else await real(self, method, *others, **more)

    monkeypatch.setattr(Client, "beside", beside)
    done = purge_all(job, files=True)
    assert (done.deleted, done.files, done.exit_code) == (1, 0, Exit.SOME_ROWS_FAILED)
    assert done.others[0].endswith("(scan.png): no way there")


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("commit", [1, 2, 3])
def test_a_purge_that_is_killed_comes_to_the_same_end(tmp_path: Path, commit: int, before: bool) -> None:
    job = finished(tmp_path, limits={"posts": 2})
    with death(commit, before=before):
        purge_all(job)
    purge_all(job)
    assert left_at_the_service(job) == set()
    assert all(attempt.purged_at for attempt in attempts(job))


# -- what cannot go on from what is gone -------------------------------------------------------------------------------


def test_a_conversation_that_was_purged_is_retried_from_its_start(tmp_path: Path, sent: list[dict[str, Any]]) -> None:
    job = interview(tmp_path, rows=2)
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps([{"kind": "failed", "match": "Sum up r1", "times": 1}]))
    assert job.run(faults=str(faults)).exit_code is Exit.SOME_ROWS_FAILED
    assert purge_all(job).deleted == 6
    sent.clear()
    assert again(job, "failed") == 1
    assert job.run().exit_code is Exit.OK
    first, second, third = by_turn(sent, "r1")
    assert "previous_interaction_id" not in first
    live = [row["interaction_id"] for row in job.usage() if row["key"] == "r1" and not row["superseded"]]
    assert [second["previous_interaction_id"], third["previous_interaction_id"]] == live[:2]


def test_death_while_a_conversation_begins_anew_pays_for_no_turn_twice(tmp_path: Path) -> None:
    for commit in range(1, 6):
        job = interview(tmp_path / str(commit), rows=1)
        job.run(faults=str(third_turn_fails(tmp_path)))
        purge_all(job)
        again(job, "failed")
        with death(commit, before=False):
            job.run()
        job.spec["retry"] = {"ambiguous": {"model": "resubmit"}}
        assert job.run().exit_code is Exit.OK
        doubts = sum(row["state"] == "ambiguous" for row in job.usage())
        assert len(job.accepted()) <= 3 + 3 + doubts


def third_turn_fails(where: Path) -> Path:
    path = where / "faults.json"
    path.write_text(json.dumps([{"kind": "failed", "match": "Sum up r0", "times": 1}]))
    return path


def test_a_conversation_under_way_begins_anew_when_it_was_purged(tmp_path: Path) -> None:
    accepted = number = 0
    while accepted < 2:  # stopped ever later, until the second turn is under way
        number += 1
        job = interview(tmp_path / str(number), rows=1)
        with stop_at_event(number) as observe:
            job.run(observe=observe)
        accepted = len(job.accepted())
    cancel_all(job)
    assert purge_all(job).deleted == 2
    again(job, "failed")
    assert job.run().exit_code is Exit.OK
    assert len(job.accepted()) == 2 + 3


def test_a_conversation_that_is_sent_whole_goes_on_without_the_service(tmp_path: Path) -> None:
    job = interview(tmp_path, rows=1, store=False)
    job.run(faults=str(third_turn_fails(tmp_path)))
    before = len(job.accepted())
    purge_all(job)
    again(job, "failed")
    assert job.run().exit_code is Exit.OK
    assert len(job.accepted()) == before + 1


def test_a_plan_that_was_purged_is_asked_for_again(tmp_path: Path) -> None:
    job = plan(tmp_path, "hold")
    assert job.run().exit_code is Exit.ROWS_HELD
    with pytest.raises(SpecError, match="wait for approval"):
        purge_all(job)
    tell(job, go=False, text="Only one source.")
    job.run()
    assert purge_all(job, force=True).deleted == 4
    assert {(row["status"], row["error_class"]) for row in job.results()} == {("failed", "purged")}
    assert again(job, "failed") == 2
    assert job.run().exit_code is Exit.ROWS_HELD
    assert set(statuses(job).values()) == {"awaiting_approval"}
    tell(job, go=True, text="")
    assert job.run().exit_code is Exit.OK


def test_answers_that_were_purged_do_not_count_as_tries_of_the_job(tmp_path: Path) -> None:
    job = interview(tmp_path, rows=1)
    job.spec["retry"] = {"attempts": 2}
    job.run(faults=str(third_turn_fails(tmp_path)))
    purge_all(job)
    again(job, "failed")
    job.clock.now += 60.0
    with stop_at_event(2) as observe:
        job.run(observe=observe)
    store = Store(job.directory / "run.db")
    (superseded,) = store.connection.execute("SELECT count(*) FROM attempt WHERE superseded_by = 'purge'").fetchone()
    store.close()
    assert superseded == 2
    assert job.run(faults="failed:#2").exit_code is Exit.OK
    assert len(job.accepted()) == 4 + 1 + 3
