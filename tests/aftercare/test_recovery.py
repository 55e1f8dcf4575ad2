"""What was paid for is not paid again, whatever becomes of the checkpoint."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from batchrun.aftercare.recovery import Recovered, recover
from batchrun.aftercare.verification import verify
from batchrun.errors import Exit, SpecError, StoreError
from batchrun.runs.directory import RunDir
from batchrun.runs.exports import write_outputs
from batchrun.spec.load import load_job
from batchrun.store.ledger import faults, numbered, read
from batchrun.store.reader import Reader
from batchrun.store.tally import tally_of
from tests.engine.test_resume import death, stop_at_event
from tests.engine.test_talks import calls, interview, weather
from tests.rehearsal import Rehearsal


def recovered(job: Rehearsal, **options: bool) -> Recovered:
    return recover(load_job(job.write()), RunDir(job.directory), job.clock.wall(), **options)


def drop_checkpoint(job: Rehearsal) -> None:
    for path in job.directory.glob("run.db*"):
        path.unlink()


def texts(job: Rehearsal) -> list[tuple[str, str, str]]:
    return [(row["key"], row["status"], row["text"]) for row in job.results()]


def test_a_destroyed_checkpoint_is_made_anew_and_no_row_is_paid_again(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=12)
    assert job.run().exit_code is Exit.OK
    before, known = texts(job), {row["interaction_id"] for row in job.usage()}
    drop_checkpoint(job)
    with pytest.raises(StoreError, match=r"is gone.*batchrun recover"):
        job.run()
    found = recovered(job)
    assert (found.rows, found.submitted, found.doubtful, found.gone) == (12, 12, 0, [])
    result = job.run()
    assert (result.exit_code, result.summary.posts_this_run) == (Exit.OK, 0)
    assert texts(job) == before
    assert {row["interaction_id"] for row in job.usage()} == known
    assert len(job.accepted()) == 12


@pytest.mark.parametrize("commit", range(2, 14))
def test_a_checkpoint_lost_in_the_midst_of_a_run_costs_nothing_twice_unnoticed(tmp_path: Path, commit: int) -> None:
    job = Rehearsal(tmp_path, rows=8, limits={"posts": 2}, retry={"ambiguous": {"model": "hold"}})
    with death(commit, before=False):
        job.run()
    drop_checkpoint(job)
    found = recovered(job)
    assert found.doubtful <= 2
    result = job.run()
    assert result.summary.ambiguous == found.doubtful
    assert max(job.payments().values()) == 1
    known = {row["interaction_id"] for row in job.usage()}
    assert sum(line["id"] not in known for line in job.accepted()) <= result.summary.ambiguous


def test_an_old_copy_of_a_checkpoint_is_brought_up_to_date_and_keeps_what_it_knows(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=10)
    job.run(limit=4)
    shutil.copy(job.directory / "run.db", tmp_path / "copy.db")
    job.run()
    before = texts(job)
    drop_checkpoint(job)
    shutil.copy(tmp_path / "copy.db", job.directory / "run.db")
    with pytest.raises(StoreError, match="older than its ledger"):
        job.run()
    found = recovered(job)
    assert (found.submitted, found.doubtful) == (6, 0)
    polls = sum(row["polls"] for row in job.usage())
    result = job.run()
    assert (result.exit_code, result.summary.posts_this_run, texts(job)) == (Exit.OK, 0, before)
    assert polls > 0
    assert len(job.accepted()) == 10


def test_an_old_copy_is_not_brought_up_to_date_with_an_input_that_was_edited_meanwhile(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=4)
    job.run(limit=2)
    shutil.copy(job.directory / "run.db", tmp_path / "copy.db")
    job.run()
    drop_checkpoint(job)
    shutil.copy(tmp_path / "copy.db", job.directory / "run.db")
    asked, job.rows[0]["question"] = job.rows[0]["question"], "Something else?"
    with pytest.raises(
        SpecError, match=r"input says of 1 row that had been sent has changed since.*Nothing was recovered"
    ):
        recovered(job)
    job.rows[0]["question"] = asked
    assert recovered(job).submitted == 2
    assert (job.run().exit_code, len(job.accepted())) == (Exit.OK, 4)


def test_a_recovered_conversation_is_no_edited_one_and_an_edit_of_it_is_told(tmp_path: Path) -> None:
    job = interview(tmp_path, rows=2)
    job.run()
    drop_checkpoint(job)
    recovered(job)
    job.spec["request"]["service_tier"] = "flex"
    with pytest.raises(SpecError, match="2 changed"):
        job.run()
    del job.spec["request"]["service_tier"]
    job.spec["request"]["turns"][0] = "Remember {{question}}"
    posts = len(job.accepted())
    assert (job.run().exit_code, len(job.accepted())) == (Exit.OK, posts)


@pytest.mark.parametrize("kind", ["turns", "functions"])
def test_conversations_are_fetched_again_exchange_by_exchange(tmp_path: Path, kind: str) -> None:
    job = weather(tmp_path) if kind == "functions" else interview(tmp_path, rows=2)
    assert job.run().exit_code is Exit.OK
    before, posts = texts(job), len(job.accepted())
    functions = Counter(calls(job.where)) if kind == "functions" else None
    drop_checkpoint(job)
    recovered(job)
    result = job.run()
    assert (result.exit_code, texts(job), len(job.accepted())) == (Exit.OK, before, posts)
    if kind == "functions":
        assert Counter(calls(job.where)) == functions
    assert [(row["exchange"], row["state"]) for row in job.usage() if row["key"] == before[0][0]] == [
        (number, "fetched") for number in range(posts // len(before))
    ]


def test_a_retried_row_is_recovered_as_its_last_attempt(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3, retry={"attempts": 8})
    plan = tmp_path / "faults.json"
    plan.write_text(json.dumps([{"kind": "failed_no_errors", "rate": 0.5}]))
    assert job.run(faults=str(plan)).exit_code is Exit.OK
    attempts = [(row["key"], row["attempt"], row["intent_key"]) for row in job.usage()]
    assert len(attempts) > 3
    drop_checkpoint(job)
    assert recovered(job).submitted == 3
    assert job.run().exit_code is Exit.OK
    assert [(row["key"], row["attempt"], row["intent_key"]) for row in job.usage()] == attempts
    assert len(job.accepted()) == len(attempts)


def test_a_damaged_checkpoint_is_set_aside_and_no_flip_in_it_is_paid_for(tmp_path: Path) -> None:
    job, random = Rehearsal(tmp_path, rows=6), Random(5)
    job.run()
    path = job.directory / "run.db"
    content = bytearray(path.read_bytes())
    content[16:4096] = random.randbytes(4080)
    path.write_bytes(content)
    with pytest.raises(StoreError):
        job.run()
    found = recovered(job)
    assert [each.name for each in found.aside] == ["run.db.damaged-1"]
    assert found.aside[0].read_bytes() == bytes(content)
    assert (job.run().exit_code, len(job.accepted())) == (Exit.OK, 6)


def test_rows_that_the_input_no_longer_has_are_named_and_not_paid_again_if_they_come_back(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3)
    job.run()
    before, last = texts(job), job.rows.pop()
    drop_checkpoint(job)
    assert recovered(job).gone == ["r2"]
    assert (job.run().summary.posts_this_run, texts(job)) == (0, before[:2])
    assert len(job.usage()) == 3
    assert verify(RunDir(job.directory)).differences == ()
    job.rows.append(last)
    assert (job.run().summary.posts_this_run, texts(job)) == (0, before)


def test_a_damaged_ledger_is_refused_unless_the_damage_is_accepted(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3)
    job.run()
    drop_checkpoint(job)
    ledger = job.directory / "run.ledger"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([*lines[:2], lines[2][:20] + b"?" + lines[2][21:], *lines[3:]]))
    with pytest.raises(StoreError, match=r"at 1 place lines are damaged or gone.*--accept-damage"):
        recovered(job)
    assert not (job.directory / "run.db").exists()
    assert recovered(job, accept_damage=True).damaged == 1


def test_there_is_nothing_to_recover_of_a_whole_run_or_of_none(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2)
    with pytest.raises(SpecError, match="there is no run here"):
        recovered(job)
    job.run()
    with pytest.raises(SpecError, match="nothing to recover"):
        recovered(job)


@pytest.mark.parametrize("left", [None, b"", b"garbage\n" * 40])
def test_a_lost_ledger_is_made_anew_from_a_whole_checkpoint(tmp_path: Path, left: bytes | None) -> None:
    job = Rehearsal(tmp_path, rows=6)
    job.run()
    ledger = job.directory / "run.ledger"
    told = [event for event in read(ledger) if event and event[0] == "id"]
    ledger.unlink() if left is None else ledger.write_bytes(left)
    assert recovered(job).ledger_anew
    assert sorted(event for event in read(ledger) if event and event[0] == "id") == sorted(told)
    assert not verify(RunDir(job.directory)).differences
    with pytest.raises(SpecError, match="nothing to recover"):
        recovered(job)


def with_an_old_copy(where: Path) -> Rehearsal:
    """A run of six rows whose checkpoint was put back to when it had three."""
    job = Rehearsal(where, rows=6)
    job.run(limit=3)
    shutil.copy(job.directory / "run.db", where / "old.db")
    job.run()
    shutil.copy(where / "old.db", job.directory / "run.db")
    return job


def test_a_lost_ledger_is_not_made_of_an_old_copy(tmp_path: Path) -> None:
    job = with_an_old_copy(tmp_path)
    (job.directory / "run.ledger").unlink()
    for start in (job.run, lambda: recovered(job)):
        with pytest.raises(StoreError, match="an old copy"):
            start()
    assert len(job.billed()) == 6
    assert recovered(job, accept_damage=True).ledger_anew
    assert job.run().exit_code is Exit.OK


GONE = {"from the middle": slice(4, 8), "at the top": slice(0, 3), "the first": slice(0, 1)}


@pytest.mark.parametrize("gone", GONE)
@pytest.mark.parametrize("kind", ["gone", "damaged"])
def test_a_ledger_with_a_gap_is_mended_by_the_next_run_or_by_recover(tmp_path: Path, gone: str, kind: str) -> None:
    job = Rehearsal(tmp_path, rows=8, limits={"posts": 1, "in_flight": 4})
    with stop_at_event(4) as observe:
        job.run(observe=observe, latency="1h")
    ledger, posts = job.directory / "run.ledger", len(job.billed())
    lines = ledger.read_bytes().splitlines(keepends=True)
    lines[GONE[gone]] = [] if kind == "gone" else [b"x" + line for line in lines[GONE[gone]]]
    shutil.copytree(job.directory, tmp_path / "kept")
    for path in (ledger, tmp_path / "kept" / "run.ledger"):
        path.write_bytes(b"".join(lines))
        (path.parent / "run.seal").unlink()
    assert faults(numbered(ledger)) > 0
    assert job.run().exit_code is Exit.OK
    assert faults(numbered(ledger)) == 0
    assert len(job.billed()) == 8 > posts
    assert recover(load_job(job.write()), RunDir(tmp_path / "kept"), job.clock.wall()).ledger_anew
    assert not verify(RunDir(job.directory)).differences


def test_a_gap_in_the_ledger_of_a_lost_checkpoint_is_not_passed_over(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=8, limits={"posts": 1, "in_flight": 4})
    with stop_at_event(4) as observe:
        job.run(observe=observe, latency="1h")
    ledger = job.directory / "run.ledger"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[:4] + lines[6:]))
    (job.directory / "run.json").unlink()
    drop_checkpoint(job)
    with pytest.raises(StoreError, match="at 1 place lines are damaged or gone"):
        recovered(job)


def test_an_old_copy_is_brought_up_to_date_from_a_ledger_with_a_gap_only_if_that_is_accepted(tmp_path: Path) -> None:
    job = with_an_old_copy(tmp_path)
    ledger = job.directory / "run.ledger"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[:2] + lines[3:]))
    with pytest.raises(StoreError, match="--accept-damage"):
        recovered(job)
    assert not recovered(job, accept_damage=True).ledger_anew
    assert job.run().exit_code is Exit.OK
    assert len(job.billed()) == 6


def test_a_lost_ledger_is_not_made_of_a_damaged_checkpoint(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=6)
    job.run()
    (job.directory / "run.ledger").unlink()
    (job.directory / "run.db").write_bytes(b"")
    with pytest.raises(StoreError, match=r"Nor can run\.db be believed"):
        recovered(job)
    assert not (job.directory / "run.ledger").exists()


def test_another_jobs_ledger_is_refused(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2)
    job.run()
    drop_checkpoint(job)
    job.spec["name"] = "other"
    with pytest.raises(SpecError, match=r"belongs to job 'sums'.*not to 'other'"):
        recover(load_job(job.write()), RunDir(tmp_path / "runs" / "sums.emulated"), 1.0)


def test_a_death_in_the_midst_of_a_recovery_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Rehearsal(tmp_path, rows=5)
    job.run()
    drop_checkpoint(job)
    with monkeypatch.context() as patch:
        patch.setattr("batchrun.aftercare.recovery.Replay.apply", _die)
        with pytest.raises(KeyboardInterrupt):
            recovered(job)
    with pytest.raises(StoreError, match="batchrun recover"):
        job.run()
    assert recovered(job).submitted == 5
    with Reader(job.directory / "run.db") as reader:
        assert tally_of(reader).attempts == 5


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_input_that_was_edited_before_a_recovery_is_not_taken_for_what_was_asked(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=4)
    job.run()
    before, question = texts(job), job.rows[2]["question"]
    drop_checkpoint(job)
    job.rows[2]["question"] = "Something else?"
    assert recovered(job).edited == ["r2"]
    with pytest.raises(SpecError, match=r"3 the same, 0 new, 1 changed(?s:.)*row 'r2'"):
        job.run()
    job.rows[2]["question"] = question
    assert (job.run().summary.posts_this_run, texts(job)) == (0, before)
    assert len(job.accepted()) == 4


def test_an_edit_that_asks_the_same_is_no_reason_to_hold_a_recovered_row(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3)
    job.run()
    before = texts(job)
    drop_checkpoint(job)
    job.rows[1]["note"] = "not in the prompt"
    assert recovered(job).edited == ["r1"]
    assert (job.run().summary.posts_this_run, texts(job)) == (0, before)
    with Reader(job.directory / "run.db") as reader:
        assert [row.data for row in reader.rows()] == job.rows


def test_a_row_that_can_be_read_no_more_is_recovered_as_an_edited_one(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2)
    question = job.rows[1]["question"]
    job.run()
    before = texts(job)
    drop_checkpoint(job)
    job.rows[1]["question"] = "x" * 17_000_000  # longer than a line may be
    recovered(job)
    job.rows[1]["question"] = question
    assert (job.run().summary.posts_this_run, texts(job)) == (0, before)


def test_an_accepted_edit_that_was_not_sent_yet_is_told_again_after_a_recovery(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3)
    job.run()
    job.rows[0]["question"] = "Something else?"
    job.spec["request"]["input"] = "Please answer: {{ question }}"
    with death(1, before=True):
        job.run(accept_change=True)
    drop_checkpoint(job)
    assert recovered(job).edited == ["r0", "r1", "r2"]
    with pytest.raises(SpecError, match=r"0 the same, 0 new, 3 changed"):
        job.run()


def test_a_ledger_tells_of_the_request_that_was_accepted_last(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2)
    job.run()
    job.spec["request"]["input"] = "Please answer: {{ question }}"
    job.run(accept_change=True)
    before = texts(job)
    drop_checkpoint(job)
    assert recovered(job).edited == []
    with Reader(job.directory / "run.db") as reader:
        assert reader.meta("request") == load_job(job.write()).request.fingerprint
    assert (job.run().summary.posts_this_run, texts(job)) == (0, before)


def test_recovered_function_conversations_are_not_changed_by_an_edit_that_asks_the_same(tmp_path: Path) -> None:
    job = weather(tmp_path)
    job.run()
    drop_checkpoint(job)
    recovered(job)
    job.run()
    posts = len(job.accepted())
    for row in job.rows:
        row["note"] = "not in the prompt"
    assert (job.run().exit_code, len(job.accepted())) == (Exit.OK, posts)
    job.spec["request"]["service_tier"] = "flex"
    with pytest.raises(SpecError, match="changed"):
        job.run()


def test_a_ledger_that_was_cut_off_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 6)
    job.run()
    directory = RunDir(job.directory)
    directory.checkpoint.unlink()
    lines = directory.ledger.read_bytes().splitlines(keepends=True)
    directory.ledger.write_bytes(b"".join(lines[:5]))
    with pytest.raises(StoreError, match="at 2 places lines are damaged or gone"):
        recover(load_job(job.write()), directory, 1.0)
    found = recover(load_job(job.write()), directory, 1.0, accept_damage=True)
    assert (found.doubtful, found.damaged) == (4, 2)


@pytest.mark.parametrize("trace", ["run.json", "run.ballast"])
def test_a_run_of_which_only_traces_are_left_is_not_begun_anew(tmp_path: Path, trace: str) -> None:
    job = Rehearsal(tmp_path, 3)
    job.run()
    directory = RunDir(job.directory)
    (job.directory / "run.ballast").touch()
    for path in job.directory.iterdir():
        if path.name not in (trace, "results.parquet", "run.lock"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(StoreError, match=f"but {trace} tell of an earlier run"):
        job.run()
    assert not directory.checkpoint.exists()
    assert len(job.billed()) == 3


def test_output_files_of_another_run_are_not_replaced(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 3)
    job.run()
    directory = RunDir(job.directory)
    directory.checkpoint.write_bytes(b"")
    directory.ledger.write_bytes(b"")
    before = (job.directory / "results.parquet").read_bytes()
    with pytest.raises(StoreError, match=r"is gone or empty, but run\.json"):
        job.run()
    assert [each.where for each in verify(directory).differences] == ["run.json"]
    with Reader(directory.checkpoint) as reader, pytest.raises(StoreError, match="its rows would replace them"):
        write_outputs(load_job(job.write()), directory, reader)
    assert (job.directory / "results.parquet").read_bytes() == before


def test_an_emptied_ledger_is_a_gap(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 3)
    job.run()
    (job.directory / "run.ledger").write_bytes(b"")
    assert [each.law for each in verify(RunDir(job.directory)).differences] == ["ledger"]
