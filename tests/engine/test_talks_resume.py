"""Death at every commit in the middle of conversations: nothing that is billed or has side effects happens twice."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from batchrun.errors import Exit
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Call, Lost, Reply
from batchrun.store.reopening import reopen
from batchrun.store.store import Store
from batchrun.store.writer import Writer
from tests.engine.test_resume import MOMENTS, Died, death, stop_at_event
from tests.engine.test_talks import calls, interview, job_of, weather
from tests.rehearsal import Rehearsal


def talk(where: Path, kind: str, **changes: Any) -> Rehearsal:
    job = weather(where, **changes) if kind == "functions" else interview(where, rows=2, **changes)
    job.spec["retry"] = {"ambiguous": {"max_resubmits": 50}}
    return job


def commits_of(job: Rehearsal) -> int:
    commits = [0]
    with pytest.MonkeyPatch.context() as patch:
        real = Writer._commit

        def counting(writer: Writer, group: list[Any]) -> list[Any]:
            commits[0] += 1
            return real(writer, group)

        patch.setattr(Writer, "_commit", counting)
        assert job.run().exit_code is Exit.OK
    return commits[0]


def texts(job: Rehearsal) -> dict[str, str]:
    return {row["key"]: row["text"] for row in job.results()}


def places(job: Rehearsal, keys: set[str]) -> set[tuple[str, int, int]]:
    """Where in their conversations the interactions of these rows stand."""
    return {(row["key"], row["exchange"], row["turn"]) for row in job.usage() if row["key"] in keys}


def assert_nothing_is_paid_unnoticed(job: Rehearsal) -> None:
    known = {row["interaction_id"] for row in job.usage()}
    doubts = sum(row["state"] == "ambiguous" for row in job.usage())
    assert sum(line["id"] not in known for line in job.accepted()) <= doubts


@pytest.mark.parametrize(("before", "half"), MOMENTS, ids=["before", "half", "after"])
@pytest.mark.parametrize("stored", [True, False], ids=["stored", "stateless"])
@pytest.mark.parametrize("kind", ["turns", "functions"])
def test_death_at_every_commit(tmp_path: Path, kind: str, stored: bool, before: bool, half: bool) -> None:
    whole = talk(tmp_path / "whole", kind, store=stored)
    commits = commits_of(whole)
    assert commits > 5
    held = 0
    for commit in range(1, commits + 1):
        job = talk(tmp_path / str(commit), kind, store=stored)
        with death(commit, before=before, half=half):
            job.run()
        result = job.run()
        assert_nothing_is_paid_unnoticed(job)
        if kind == "functions":
            assert all(count == 1 for count in Counter(calls(job.where)).values())
        interrupted = [row for row in job.results() if row["status"] != "succeeded"]
        held += len(interrupted)
        assert {row["error_class"] for row in interrupted} <= {"function_interrupted"}
        assert result.exit_code is (Exit.ROWS_HELD if interrupted else Exit.OK)
        assert {**texts(whole), **{row["key"]: row["text"] for row in interrupted}} == texts(job)
        done = texts(job).keys() - {row["key"] for row in interrupted}
        assert places(job, done) == places(whole, done)
    assert (held > 0) is (kind == "functions")


def test_a_call_that_was_cut_off_runs_again_only_by_the_users_word_or_the_jobs(tmp_path: Path) -> None:
    for interrupted in ("hold", "rerun"):
        job = talk(tmp_path / interrupted, "functions", function_calling={"interrupted": interrupted})
        with death(first_call(tmp_path / f"{interrupted}-probe"), before=False):
            job.run()
        result = job.run()
        if interrupted == "hold":
            assert result.exit_code is Exit.ROWS_HELD
            store = Store(job.directory / "run.db")
            assert reopen(store, ["ambiguous"], [], job.clock.wall()) > 0
            store.close()
            result = job.run()
        assert result.exit_code is Exit.OK
        assert len(job.accepted()) == 5


def first_call(where: Path) -> int:
    """The commit that makes the intent of the first function call durable."""
    job, found, commits = talk(where, "functions"), [], [0]
    with pytest.MonkeyPatch.context() as patch:
        real = Writer._commit

        def counting(writer: Writer, group: list[Any]) -> list[Any]:
            commits[0] += 1
            done = real(writer, group)
            if writer._connection.execute("SELECT EXISTS (SELECT 1 FROM tool_call)").fetchone()[0]:
                found.append(commits[0])
            return done

        patch.setattr(Writer, "_commit", counting)
        job.run()
    return found[0]


@pytest.mark.parametrize("kind", ["turns", "functions"])
def test_a_stop_at_every_event_loses_and_repeats_nothing(tmp_path: Path, kind: str) -> None:
    whole = talk(tmp_path / "whole", kind)
    assert whole.run().exit_code is Exit.OK
    number, stopped = 0, True
    while stopped:
        number += 1
        job = talk(tmp_path / str(number), kind)
        with stop_at_event(number) as observe:
            stopped = job.run(observe=observe).stopped_by is not None
        assert job.run().exit_code is Exit.OK
        assert texts(job) == texts(whole)
        assert len(job.accepted()) == len(whole.accepted())
    assert number > 10


def pictures(where: Path) -> Rehearsal:
    """A job whose answers only name their pictures."""
    job = job_of(where, rows=2, input="Draw {{ id }}")
    job.spec["request"] |= {
        "model": "gemini-3.1-flash-image",
        "response_format": {"type": "image", "aspect_ratio": "1:1", "image_size": "512", "delivery": "uri"},
    }
    job.spec["retry"] = {"ambiguous": {"max_resubmits": 50}}
    return job


def files_of(job: Rehearsal) -> dict[str, bytes]:
    """The pictures on the disk by their names in the results, checked against what the results say of them."""
    found = {}
    for row in job.results():
        (medium,) = row["media"]
        content = (job.directory / medium["path"]).read_bytes()
        assert (len(content), sha256(content).hexdigest()) == (medium["bytes"], medium["sha256"])
        found[medium["path"]] = content
    return found


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_death_at_every_commit_of_a_media_download(tmp_path: Path, before: bool) -> None:
    whole = pictures(tmp_path / "whole")
    commits = commits_of(whole)
    for commit in range(1, commits + 1):
        job = pictures(tmp_path / str(commit))
        with death(commit, before=before):
            job.run()
        assert job.run().exit_code is Exit.OK
        assert files_of(job) == files_of(whole)
        assert_nothing_is_paid_unnoticed(job)
        assert not list(job.directory.glob(".fetching-*"))


def test_a_download_that_a_dying_process_left_half_done_is_made_again_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, job = pictures(tmp_path / "whole"), pictures(tmp_path / "job")
    whole.run()
    real = Client.download

    async def dying(self: Client, uri: str, path: Path) -> Call:
        path.with_name(f"{path.name}.part").write_bytes(b"half a pict")
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(Client, "download", dying)
        with pytest.raises(Died):
            job.run()
    assert Client.download is real
    assert job.run().exit_code is Exit.OK
    assert files_of(job) == files_of(whole)
    assert len(job.accepted()) == 2


def test_a_file_that_cannot_be_fetched_fails_its_row_and_a_retry_fetches_it_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = pictures(tmp_path)

    async def out_of_order(self: Client, uri: str, path: Path) -> Call:
        return Reply(503, b"")

    with monkeypatch.context() as patch:
        patch.setattr(Client, "download", out_of_order)
        assert job.run().exit_code is Exit.SOME_ROWS_FAILED
    assert {row["error_class"] for row in job.results()} == {"media_not_fetched"}
    store = Store(job.directory / "run.db")
    assert reopen(store, ["failed"], [], job.clock.wall()) == 2
    store.close()
    assert job.run().exit_code is Exit.OK
    assert len(files_of(job)) == 2
    assert len(job.accepted()) == 2


def test_an_address_that_redirects_for_ever_is_asked_once_and_its_row_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, asked = pictures(tmp_path), list[str]()

    async def round_and_round(self: Client, uri: str, path: Path) -> Call:
        asked.append(uri)
        return Lost(f"{uri!r} redirects more than 5 times", answered=True)

    monkeypatch.setattr(Client, "download", round_and_round)
    assert job.run().exit_code is Exit.SOME_ROWS_FAILED
    assert len(asked) == len(job.results()) == 2
    assert {row["error_class"] for row in job.results()} == {"media_not_fetched"}
