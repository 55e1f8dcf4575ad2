"""A key that is refused stops everything at once and loses nothing; a model that is refused is told apart from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchrun.errors import Exit
from tests.rehearsal import Rehearsal


def plan(job: Rehearsal, *rules: dict[str, object]) -> str:
    path = job.where / "plan.json"
    path.write_text(json.dumps(rules))
    return str(path)


def name_models(job: Rehearsal) -> None:
    """Let every row name a model of its own."""
    job.rows = [{**row, "request": {"model": "gemini-3.5-flash-lite"}} for row in job.rows]


def not_accepted(job: Rehearsal) -> int:
    return len([line for line in job.ledger() if not line["id"]])


@pytest.mark.parametrize("fault", ["key_revoked", "key_denied"])
@pytest.mark.parametrize("slots", [1, 4, 16])
def test_after_a_key_is_revoked_there_are_at_most_as_many_posts_as_slots(
    tmp_path: Path, fault: str, slots: int
) -> None:
    job = Rehearsal(tmp_path, rows=60, limits={"posts": slots})
    result = job.run(faults=f"{fault}:#20")
    assert result.exit_code is Exit.CREDENTIALS
    assert "does not accept the API key" in str(result.stopped_by)
    assert not_accepted(job) <= slots
    assert (result.summary.failed, result.summary.ambiguous) == (0, 0)
    assert job.run().exit_code is Exit.OK
    assert len(job.billed()) == 60


@pytest.mark.parametrize("fault", ["key_revoked", "key_denied"])
def test_a_key_revoked_while_every_row_is_only_polled_loses_none_of_them(tmp_path: Path, fault: str) -> None:
    job = Rehearsal(tmp_path, rows=3)
    faults = plan(job, {"kind": fault, "on": "get", "nth": 2})
    result = job.run(faults=faults, latency="1h")
    assert result.exit_code is Exit.CREDENTIALS
    assert (result.summary.pending, result.summary.failed) == (3, 0)
    assert result.summary.elapsed_s < 60
    assert job.run(latency="1h").summary.succeeded == 3
    assert len(job.billed()) == 3


@pytest.mark.parametrize("fault", ["key_revoked", "key_denied"])
def test_rows_that_name_their_models_are_not_failed_by_a_revoked_key(tmp_path: Path, fault: str) -> None:
    job = Rehearsal(tmp_path, rows=12, limits={"posts": 2})
    name_models(job)
    result = job.run(faults=f"{fault}:#5")
    assert (result.exit_code, result.summary.failed) == (Exit.CREDENTIALS, 0)
    assert not_accepted(job) <= 2


def test_a_model_that_the_key_may_not_use_stops_posts_and_says_so_while_what_is_paid_for_is_fetched(
    tmp_path: Path,
) -> None:
    job = Rehearsal(tmp_path, rows=30, limits={"posts": 2})
    result = job.run(faults=plan(job, {"kind": "model_denied", "match": "What is 9 plus"}), latency="60s")
    assert result.exit_code is Exit.BAD_INPUT
    said = str(result.stopped_by)
    assert "accepts the API key" in said
    assert "'gemini-3.5-flash'" in said
    assert "project access" in said
    assert not_accepted(job) <= 2
    assert (result.summary.failed, result.summary.in_flight) == (0, 0)
    assert result.summary.succeeded == len(job.billed()) >= 9
    assert job.run().exit_code is Exit.OK


def test_a_row_that_names_a_model_which_is_denied_fails_alone(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=6)
    name_models(job)
    result = job.run(faults=plan(job, {"kind": "model_denied", "match": "What is 3 plus"}))
    assert (result.exit_code, result.summary.failed, result.summary.succeeded) == (Exit.SOME_ROWS_FAILED, 1, 5)
    assert result.summary.errors == {"permission_denied": 1}


def test_a_403_on_one_id_is_no_word_about_the_key(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=8)
    result = job.run(faults="403_after_create=60s:#3")
    assert (result.exit_code, result.summary.succeeded) == (Exit.OK, 8)


def test_an_id_that_stays_forbidden_is_lost_and_its_id_is_in_the_report(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=4)
    result = job.run(faults="403_after_create=inf:#3")
    assert result.summary.errors == {"lost": 1}
    (lost,) = [row for row in job.usage() if row["state"] == "lost"]
    assert lost["interaction_id"] == job.billed()[2]["id"]
