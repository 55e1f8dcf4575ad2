"""A row's life on the real store and the real emulator, in virtual time."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import weakref
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from batchrun.engine.events import Event, Paused, Posted, Started, Stopping
from batchrun.errors import Exit, Stopped
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Call
from batchrun.store.reader import Reader
from batchrun.store.records import AttemptState
from tests.engine.test_resume import stop_at_event
from tests.rehearsal import Rehearsal


def test_every_row_gets_a_typed_answer_in_input_order_and_the_books_agree(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=50)
    result = job.run()
    assert result.exit_code is Exit.OK
    rows = job.results()
    assert [row["key"] for row in rows] == [f"r{n}" for n in range(50)]
    assert {row["status"] for row in rows} == {"succeeded"}
    assert all(isinstance(row["answer"], int) and isinstance(row["steps"], list) for row in rows)
    billed = job.billed()
    assert len(billed) == 50 == result.summary.posts
    assert sum(line["usage"]["total_tokens"] for line in billed) == result.summary.usage["total_tokens"]
    assert sum(row["total_tokens"] for row in job.usage()) == result.summary.usage["total_tokens"]


def test_running_again_does_nothing_and_says_so(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path)
    job.run()
    written = {path: path.read_bytes() for path in job.directory.glob("*.parquet")}
    again = job.run()
    assert again.nothing_to_do
    assert again.exit_code is Exit.OK
    assert len(job.ledger()) == 20
    assert written == {path: path.read_bytes() for path in job.directory.glob("*.parquet")}


def test_sixty_posts_a_minute_take_a_second_each(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=300, limits={"rpm": 60, "in_flight": 1000})
    job.run(latency="200ms", rpm=61)
    times = [line["time"] for line in job.ledger()]
    assert times[-1] - times[0] == pytest.approx(299, abs=0.1)
    assert {line["status"] for line in job.ledger()} == {200}


def test_a_limit_runs_the_first_rows_and_a_later_run_the_rest(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path)
    first = job.run(limit=5)
    assert (first.summary.rows, first.summary.succeeded, first.exit_code) == (5, 5, Exit.OK)
    rest = job.run()
    assert (rest.summary.rows, rest.summary.posts_this_run) == (20, 15)
    assert len(job.billed()) == 20


def test_a_429_stops_every_row_until_the_servers_delay_is_over(tmp_path: Path) -> None:
    pauses: list[Event] = []
    job = Rehearsal(tmp_path, rows=30)
    result = job.run(rpm=10, observe=lambda event: pauses.append(event) if isinstance(event, Paused) else None)
    assert result.exit_code is Exit.OK
    assert len(job.billed()) == 30
    assert pauses
    refused = [line for line in job.ledger() if line["status"] == 429]
    assert len(refused) <= 16 * len({round(line["time"]) for line in refused})


def test_a_refused_post_is_the_same_attempt_again_not_a_new_one(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=10)
    result = job.run(faults="429:x1")
    assert result.exit_code is Exit.OK
    assert (result.summary.attempts, result.summary.posts) == (10, 20)
    labels = Counter(line["labels"]["batchrun-intent"] for line in job.ledger())
    assert set(labels.values()) == {2}


@pytest.mark.parametrize(
    "fault", ["drop_after", "truncated_id_200", "garbage_200", "no_id_200", "502_html", "500", "504"]
)
def test_a_post_of_unknown_fate_is_sent_again_once_and_counted(tmp_path: Path, fault: str) -> None:
    job = Rehearsal(tmp_path, rows=10)
    result = job.run(faults=f"{fault}:#3")
    assert result.exit_code is Exit.OK
    assert result.summary.possibly_billed_twice == 1
    assert result.summary.posts == 11
    assert len(job.ledger()) == 11
    states = Counter(row["state"] for row in job.usage())
    assert states == {"fetched": 10, "ambiguous": 1}


def test_the_allowance_for_paying_twice_is_kept_over_the_whole_run(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=10, retry={"ambiguous": {"max_resubmits": 2}})
    result = job.run(faults="drop_after:1.0")
    assert result.exit_code is Exit.ROWS_HELD
    assert (result.summary.ambiguous, result.summary.possibly_billed_twice) == (10, 2)
    assert len(job.ledger()) == 12
    again = job.run()
    assert again.nothing_to_do
    assert len(job.ledger()) == 12


def test_the_allowance_is_not_renewed_by_starting_again(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=6, limits={"posts": 1}, retry={"ambiguous": {"max_resubmits": 2}})
    plan = [{"kind": "429_daily", "nth": [4]}, {"kind": "drop_after", "rate": 1.0}]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    assert job.run(faults=str(tmp_path / "plan.json")).exit_code is Exit.TRY_LATER
    first = job.run(faults="drop_after:1.0")
    assert (first.summary.possibly_billed_twice, first.summary.ambiguous) == (2, 6)
    assert len(job.accepted()) == 8


def test_hold_means_that_nothing_is_ever_paid_twice(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=10, retry={"ambiguous": {"model": "hold"}})
    result = job.run(faults="drop_after:0.5")
    assert result.exit_code is Exit.ROWS_HELD
    assert len(job.ledger()) == 10
    held = [row for row in job.results() if row["status"] == "ambiguous"]
    assert len(held) == result.summary.ambiguous > 0
    assert "billed" in held[0]["error_message"]


def test_agents_cost_dollars_so_their_posts_of_unknown_fate_are_held(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=4)
    job.spec["request"] = {"agent": "deep-research-preview-04-2026", "input": "Find out: {{ question }}"}
    result = job.run(faults="drop_after:#2")
    assert result.exit_code is Exit.ROWS_HELD
    assert (result.summary.ambiguous, result.summary.succeeded, len(job.ledger())) == (1, 3, 4)


def test_tokens_a_minute_pace_the_posts_and_are_corrected_by_the_real_usage(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=60, limits={"tpm": 600, "posts": 1})
    result = job.run(latency="200ms")
    times = [line["time"] for line in job.ledger()]
    minutes = (times[-1] - times[0]) / 60
    used = result.summary.usage["total_input_tokens"]
    assert used is not None
    assert used / minutes == pytest.approx(600, rel=0.1)


def test_runs_that_are_started_again_at_once_keep_to_the_tokens_a_minute_together(tmp_path: Path) -> None:
    """What cron does with an input that grows by a row at a time."""
    job = Rehearsal(tmp_path, rows=0, limits={"tpm": 10})
    for n in range(6):
        job.rows.append({"id": f"r{n}", "question": "What is one plus one, and what is two plus two? " * (n + 1)})
        assert job.run(latency="5s").exit_code is Exit.OK
    lines = job.ledger()
    for line, following in pairwise(lines):
        assert following["time"] - line["time"] >= line["usage"]["total_input_tokens"] * 60 / 10 - 1
    used = sum(line["usage"]["total_input_tokens"] for line in lines[:-1])
    assert used / (lines[-1]["time"] - lines[0]["time"]) * 60 == pytest.approx(10, rel=0.1)


def test_what_a_stopped_run_has_in_flight_counts_for_its_tokens_a_minute(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2, limits={"tpm": 10, "posts": 1})
    with stop_at_event(1) as observe:
        job.run(observe=observe, latency="1h")
    job.run(latency="1h")
    first, second = job.ledger()
    with Reader(job.directory / "run.db") as reader:
        estimate = reader.tokens_read(0.0)[0][1]
    assert second["time"] - first["time"] == pytest.approx(estimate * 60 / 10, abs=2)


def test_tokens_that_were_read_in_the_future_of_a_wrong_clock_hold_up_nothing(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=1, limits={"tpm": 10})
    today, year = job.clock.now, 365 * 86400
    job.clock.now += year
    job.run()
    job.rows.append({"id": "r1", "question": "What is one plus one?"})
    job.clock.now = today
    job.run()
    ahead, now = job.ledger()
    assert ahead["time"] - now["time"] == pytest.approx(year, abs=1)


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("failed", "failed", None),
        ("failed_no_errors", "failed", "failed"),
        ("incomplete", "incomplete", "incomplete"),
        ("cancelled", "failed", "cancelled"),
        ("no_steps", "invalid_output", "empty_output"),
        ("invalid_json", "invalid_output", "not_json"),
        ("schema_violation", "invalid_output", "schema_mismatch"),
        ("deep_json", "invalid_output", "not_json"),
        ("wrong_label", "ambiguous", "label_mismatch"),
        ("404_after_create=inf", "failed", "lost"),
        ("stuck", "failed", "timed_out"),
        ("unknown_status", "failed", "timed_out"),
    ],
)
def test_a_row_that_goes_wrong_is_one_outcome_and_the_others_run(
    tmp_path: Path, fault: str, status: str, kind: str | None
) -> None:
    job = Rehearsal(tmp_path, rows=10)
    result = job.run(faults=f"{fault}:#4")
    assert result.exit_code is (Exit.ROWS_HELD if status == "ambiguous" else Exit.SOME_ROWS_FAILED)
    (wrong,) = [row for row in job.results() if row["status"] != "succeeded"]
    assert wrong["status"] == status
    assert kind in (None, wrong["error_class"])
    assert len(job.accepted()) == 10


def test_half_a_surrogate_pair_in_an_answer_is_kept_as_text_and_stops_nothing(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=10)
    job.spec["request"].pop("response_format")
    assert job.run(faults="lone_surrogate:#4").exit_code is Exit.OK
    assert [row["text"] for row in job.results() if "\\ud800" in row["text"]]


def test_a_rate_limit_far_below_the_slots_fails_no_row_and_wastes_few_posts(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=100, limits={"posts": 64})
    result = job.run(rpm=10)
    assert (result.exit_code, result.summary.failed) == (Exit.OK, 0)
    refused = [line for line in job.ledger() if line["status"] == 429]
    assert len(refused) < 64 + 100


@pytest.mark.parametrize("fault", ["429_retry_info", "503", "502_html"])
def test_polls_that_are_refused_only_slow_the_run_down(tmp_path: Path, fault: str) -> None:
    job = Rehearsal(tmp_path, rows=30)
    result = job.run(faults=f"get/{fault}:0.3")
    assert (result.exit_code, result.summary.possibly_billed_twice) == (Exit.OK, 0)


def test_an_outage_of_an_hour_is_met_with_few_posts(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=200)
    result = job.run(faults="503:1.0")
    assert result.exit_code is Exit.TRY_LATER
    assert len(job.ledger()) <= 16 + 8


def test_a_request_that_waits_for_its_answer_waits_no_longer_than_the_deadline(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3, poll={"deadline": "5m"}, retry={"ambiguous": {"model": "hold"}})
    job.spec["request"] |= {"store": False}
    result = job.run(faults="stuck:#1")
    assert (result.summary.ambiguous, result.summary.succeeded) == (1, 2)
    assert job.clock.now == pytest.approx(300, abs=1)


def test_the_first_signal_lets_open_posts_answer_though_the_run_leaves_already(tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, Stopping):
            signal.raise_signal(signal.SIGINT)

    job = Rehearsal(tmp_path, rows=2, limits={"posts": 2})
    plan = [{"kind": "slow", "nth": [1], "seconds": 60}, {"kind": "bad_key", "nth": [2]}]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    result = job.run(faults=str(tmp_path / "plan.json"), observe=interrupt)
    assert result.exit_code is Exit.CREDENTIALS
    assert (result.summary.ambiguous, result.summary.in_flight) == (0, 1)


def test_a_run_that_is_started_again_after_an_outage_begins_with_one_post(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=200)
    job.run(faults="503:1.0")
    before = len(job.ledger())
    assert job.run(faults="503:1.0").exit_code is Exit.TRY_LATER
    assert len(job.ledger()) == before + 8
    assert job.run().exit_code is Exit.OK


def test_a_run_that_is_started_again_keeps_to_its_rate(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=10, limits={"rpm": 6})
    assert job.run(limit=5).exit_code is Exit.OK
    last = job.ledger()[-1]["time"]
    job.run(latency="0ms")
    assert job.ledger()[5]["time"] - last >= 10


def test_a_row_that_is_given_up_is_cancelled_at_the_service(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=1)
    assert job.run(faults="stuck:#1").summary.errors == {"timed_out": 1}
    with Reader(job.directory / "run.db") as reader:
        (attempt,) = reader.attempts()
    assert (attempt.state, attempt.interaction_status) == (AttemptState.FETCHED, "cancelled")


def test_a_held_row_stays_held_though_its_document_is_gone(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3, retry={"ambiguous": {"model": "hold"}})
    (tmp_path / "a.txt").write_text("A document.")
    parts = [{"type": "text", "text": "{{ question }}"}, {"type": "document", "path": "a.txt"}]
    job.spec["request"] = {"model": "gemini-3.5-flash", "input": parts}

    def lose_the_document(event: Event) -> None:
        if isinstance(event, Posted):
            (tmp_path / "a.txt").unlink(missing_ok=True)

    result = job.run(faults="drop_after:1.0", observe=lose_the_document)
    assert result.summary.ambiguous == len(job.billed()) > 0


def test_a_lowered_limit_in_the_job_file_holds(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=15)
    assert job.run(faults="429_daily:#1").summary.rows == 15
    job.spec["input"]["limit"] = 5
    assert job.run().summary.posts_this_run == 5


def test_rows_that_the_limit_leaves_out_are_not_sent_because_they_are_known(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=10)
    job.run(faults="429_daily:#1")
    job.rows = [{"id": f"new{n}", "question": f"And {n}?"} for n in range(5)] + job.rows
    assert job.run(limit=5).summary.posts_this_run == 5
    assert job.run().summary.succeeded == 15


def test_the_days_quota_stops_posts_but_fetches_what_is_paid_for(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=30, limits={"posts": 1})
    result = job.run(faults="429_daily:#10", latency="60s")
    assert result.exit_code is Exit.TRY_LATER
    assert (result.summary.succeeded, result.summary.in_flight) == (9, 0)


def test_a_failure_of_the_service_is_paid_for_again_only_if_the_job_says_so(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=10, retry={"attempts": 2})
    result = job.run(faults="failed_no_errors:#4")
    assert result.exit_code is Exit.OK
    assert (result.summary.attempts, len(job.accepted())) == (11, 11)
    assert sum(row["superseded"] for row in job.usage()) == 1


def test_late_usage_is_waited_for_and_missing_usage_is_null_not_zero(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3)
    result = job.run(faults="no_usage:#2")
    assert result.exit_code is Exit.OK
    assert result.summary.usage["attempts_without_usage"] == 1
    assert [row["total_tokens"] is None for row in job.usage()].count(True) == 1


def test_a_bad_key_stops_the_run_before_anything_is_billed(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=50)
    result = job.run(bad_keys=frozenset({"emulator"}))
    assert result.exit_code is Exit.CREDENTIALS
    assert len(job.ledger()) <= 16
    assert job.billed() == []
    assert result.summary.pending == 50
    assert job.run().exit_code is Exit.OK


def test_a_key_revoked_in_the_middle_leaves_every_row_resumable(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=60, limits={"posts": 4})
    result = job.run(faults="key_revoked:#20")
    assert result.exit_code is Exit.CREDENTIALS
    assert len([line for line in job.ledger() if not line["billed"]]) <= 4
    assert job.run().exit_code is Exit.OK
    assert len(job.billed()) == 60


def test_the_days_quota_stops_posts_and_the_next_run_goes_on(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=30, limits={"posts": 1})
    result = job.run(faults="429_daily:#10")
    assert result.exit_code is Exit.TRY_LATER
    assert "quota" in str(result.stopped_by)
    assert job.run().exit_code is Exit.OK
    assert len(job.billed()) == 30


def test_a_service_that_refuses_everything_stops_the_run_and_fails_no_row(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=10)
    result = job.run(faults="503:1.0")
    assert result.exit_code is Exit.TRY_LATER
    assert (result.summary.pending, job.billed()) == (10, [])


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    def life(name: str) -> tuple[list[bytes], list[str]]:
        job = Rehearsal(tmp_path / name, rows=60, limits={"rpm": 600})
        job.run(faults="429:0.1,drop_after:0.02,failed:0.05", latency="lognormal:20s,1.0")
        shas = [f"{line['time']:.3f} {line['request_sha256']}" for line in job.ledger()]
        return [path.read_bytes() for path in sorted(job.directory.glob("*.parquet"))], shas

    assert life("a") == life("b")


def test_a_process_that_can_open_no_more_files_stops_with_a_message_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Rehearsal(tmp_path, rows=3)

    async def exhausted(*_: object) -> Call:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(Client, "get", exhausted)
        stopped = job.run()
    assert stopped.exit_code is Exit.DISK
    assert str(stopped.stopped_by).startswith("Too many open files: this process holds all that it may (`ulimit -n`)")
    assert job.run().exit_code is Exit.OK
    assert len(job.billed()) == 3


class _Something:
    """What a weak reference can be of."""


def test_a_signal_that_python_drops_in_a_callback_stops_the_run_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[Any] = []

    def interrupt(event: Event) -> None:
        if isinstance(event, Started):
            something = _Something()
            watched = weakref.ref(something, lambda _: signal.raise_signal(signal.SIGINT))
            del something
            assert watched() is None

    monkeypatch.setattr(sys, "unraisablehook", lambda told: dropped.append(told.exc_type))
    job = Rehearsal(tmp_path, rows=2)
    result = job.run(observe=interrupt)
    assert dropped == [Stopped]
    assert (result.exit_code, job.ledger()) == (Exit.SIGINT, [])
    assert job.run().exit_code is Exit.OK
