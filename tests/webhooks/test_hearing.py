"""A run that hears webhooks: sooner where they come, and the same in the end where they do not, or lie."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from batchrun.emulator.hooks.outbox import Message
from batchrun.engine.events import Polled, WebhooksCame
from batchrun.errors import Exit, Stopped
from batchrun.store.reader import Reader
from batchrun.webhooks.message import Event
from batchrun.webhooks.receiver import Receiver
from tests.engine.test_resume import stop_at_event
from tests.rehearsal import Rehearsal
from tests.webhooks.postman import URI, Postman, hear

HOLD = {"ambiguous": {"model": "hold"}}
SLOW = {"deadline": "12h", "ceiling": "10m"}


def polls(job: Rehearsal) -> int:
    return sum(row["polls"] for row in job.usage())


def waits(job: Rehearsal) -> list[float]:
    """How long each answer lay ready before it was fetched, in seconds."""
    ready = dict(emulated(job, "SELECT id, ready_at FROM interactions"))
    with Reader(job.directory / "run.db") as reader:
        return [(each.fetched_at or 0) - ready[each.interaction_id] for each in reader.attempts()]


def emulated(job: Rehearsal, query: str) -> list[Any]:
    """What the emulator knows."""
    with closing(sqlite3.connect(job.where / "emulator.db")) as db:
        return db.execute(query).fetchall()


def test_answers_are_fetched_as_soon_as_they_are_there_and_with_fewer_polls(tmp_path: Path) -> None:
    quiet, heard = (Rehearsal(tmp_path / name, 60, poll=SLOW, limits={"in_flight": 20}) for name in ("quiet", "heard"))
    latency = "lognormal:40m,0.6"
    assert quiet.run(latency=latency).exit_code is Exit.OK
    assert hear(heard, latency=latency).exit_code is Exit.OK
    assert max(waits(heard)) < 2 < sum(waits(quiet)) / 60
    assert polls(heard) < polls(quiet)


def test_each_request_names_the_address_and_the_post_and_its_hash_is_what_it_was(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 3)
    hear(job)
    asked = [json.loads(body) for (body,) in emulated(job, "SELECT request FROM interactions")]
    assert [each["webhook_config"]["uris"] for each in asked] == [[URI]] * 3
    names = [each["labels"]["batchrun-intent"] for each in asked]
    assert [each["webhook_config"]["user_metadata"] for each in asked] == [{"batchrun-intent": n} for n in names]
    assert job.run().nothing_to_do  # the job was not edited


@pytest.mark.parametrize("wish", ["hold", "resubmit"])
def test_a_post_in_doubt_is_found_by_the_event_that_names_it_and_paid_for_once(tmp_path: Path, wish: str) -> None:
    job = Rehearsal(tmp_path, 8, retry={"ambiguous": {"model": wish}})
    result = hear(job, faults="drop_after:#3")
    assert (result.exit_code, result.summary.posts, result.summary.possibly_billed_twice) == (Exit.OK, 8, 0)
    assert set(job.payments().values()) == {1}
    assert {row["interaction_id"] for row in job.usage()} == {line["id"] for line in job.billed()}


@pytest.mark.parametrize(("late", "least"), [("30s", 30), ("500s", 120)])
def test_an_event_that_comes_before_the_answer_to_the_post_is_remembered(
    tmp_path: Path, late: str, least: float
) -> None:
    job = Rehearsal(tmp_path, 4, retry=HOLD)
    result = hear(job, faults=f"slow={late}:#2", latency="5s")  # a POST of 120 s is given up
    assert (result.exit_code, result.summary.posts) == (Exit.OK, 4)
    assert least <= result.summary.elapsed_s < least + 3


def test_a_post_that_no_event_names_is_held_as_without_when_its_time_is_up(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 4, retry={"ambiguous": {"model": "hold", "wait": "5m"}})
    result = hear(job, faults="drop_before:#2")
    assert (result.exit_code, result.summary.ambiguous, len(job.billed())) == (Exit.ROWS_HELD, 1, 3)
    assert 300 <= result.summary.elapsed_s < 330


def test_an_event_of_an_earlier_life_comes_again_to_the_next(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 1, retry=HOLD)
    with stop_at_event(1) as observe:  # the POST, whose answer was lost
        stopped = hear(job, Postman(job, when=lambda message: []), faults="drop_after:#1", observe=observe)
    assert isinstance(stopped.stopped_by, Stopped)
    job.clock.now += 600
    result = hear(job)
    assert (result.exit_code, result.summary.posts) == (Exit.OK, 1)


def test_a_row_ends_the_same_whatever_becomes_of_its_events(tmp_path: Path) -> None:
    chance = Random(7)

    def when(message: Message) -> list[float]:
        return [chance.uniform(0, 90) for _ in range(chance.choice([0, 1, 1, 3]))]

    job = Rehearsal(tmp_path, 40, retry=HOLD)
    result = hear(job, Postman(job, when), latency="lognormal:40s,0.5", faults="truncated_200:0.1")
    assert (result.exit_code, result.summary.succeeded, result.summary.posts) == (Exit.OK, 40, 40)
    assert set(job.payments().values()) == {1}


def test_without_any_event_a_run_is_what_it_is_without_webhooks(tmp_path: Path) -> None:
    quiet, deaf = (Rehearsal(tmp_path / name, 20) for name in ("quiet", "deaf"))
    alone = quiet.run().summary
    summary = hear(deaf, Postman(deaf, when=lambda message: [])).summary
    assert (summary.succeeded, summary.posts) == (20, 20)
    assert summary.elapsed_s == pytest.approx(alone.elapsed_s, abs=1)
    assert polls(deaf) == polls(quiet)


def test_when_events_stop_coming_no_answer_waits_longer_than_the_ceiling(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 60, poll={"ceiling": "30s"}, limits={"in_flight": 4})
    postman = Postman(job, when=lambda message: [0.0] if job.clock.now < 300 else [])
    assert hear(job, postman, latency="lognormal:20s,0.3").exit_code is Exit.OK
    assert max(waits(job)) <= 31


def test_the_project_s_webhook_speeds_things_up_though_it_names_no_post(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 20, poll=SLOW)
    hear(job, Postman(job, static=True), latency="lognormal:10m,0.3")
    assert max(waits(job)) < 2


def test_forged_events_are_refused_and_change_nothing(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 5, poll={"first": "10s"})
    postman = Postman(job, altered=b'{"type":"interaction.completed","data":{"id":"v1_x"}}')
    assert hear(job, postman).exit_code is Exit.OK
    assert set(postman.answers) == {401}
    assert min(waits(job)) > 1


def test_an_id_that_is_not_the_post_s_is_never_taken_for_it(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 6, retry={"ambiguous": {"model": "hold", "wait": "4m"}})

    def lie(receiver: Receiver) -> None:
        """Each POST in doubt is told to be an interaction of another row."""
        for (body,) in emulated(job, "SELECT request FROM interactions"):
            for (other,) in emulated(job, "SELECT id FROM interactions LIMIT 1"):
                receiver._hear(Event(other, json.loads(body)["labels"]["batchrun-intent"]))

    result = hear(job, Postman(job, when=lambda message: [], also=lie), faults="drop_after:#2")
    assert (result.exit_code, result.summary.ambiguous, result.summary.succeeded) == (Exit.ROWS_HELD, 1, 5)
    assert len(job.billed()) == 6
    ids = [row["interaction_id"] for row in job.usage() if row["interaction_id"]]
    assert len(set(ids)) == len(ids) == 5


def test_a_flood_of_events_polls_no_faster_than_the_job_says_and_starves_nobody(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 30, poll={"rpm": 60, "first": "30s", "growth": 1})
    at: list[float] = []

    def flood(receiver: Receiver) -> None:
        for (name,) in emulated(job, "SELECT id FROM interactions"):
            for _ in range(5):
                receiver._hear(Event(name))
        for n in range(200):
            receiver._hear(Event(f"v1_stranger{n}_{job.clock.now:g}".replace(".", "_")))

    def observe(event: object) -> None:
        if isinstance(event, Polled):
            at.append(job.clock.now)

    result = hear(job, Postman(job, when=lambda message: [], also=flood), latency="90s", observe=observe)
    assert (result.exit_code, result.summary.succeeded) == (Exit.OK, 30)
    assert all(len([1 for other in at if then <= other < then + 60]) <= 61 for then in at)
    assert polls(job) <= 30 * (3 + 8)


def test_the_first_refusal_is_told_and_at_the_end_how_many_came(tmp_path: Path) -> None:
    job, told = Rehearsal(tmp_path, rows=3), list[object]()
    postman = Postman(job, altered=b"{}")
    hear(job, postman, observe=told.append, latency="20s")
    came = [event for event in told if isinstance(event, WebhooksCame)]
    assert came == [WebhooksCame(0, 0, 1), WebhooksCame(0, 0, len(postman.answers))]
    assert len(postman.answers) > 1


def test_what_came_is_counted_at_the_end(tmp_path: Path) -> None:
    job, told = Rehearsal(tmp_path, rows=3), list[object]()
    hear(job, Postman(job, when=lambda message: [0.0, 0.0]), observe=told.append, latency="20s")
    (came,) = (event for event in told if isinstance(event, WebhooksCame))
    assert (came.events, came.refused) == (3, 0)
    assert came.repeated >= 2
