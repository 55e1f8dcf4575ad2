"""Interactions whose content a model server gives: asked in the background, kept when it is there.

What is asked for is in the emulator's state until it is answered, so an emulator that starts again asks again.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from batchrun.emulator import sse
from batchrun.emulator.answers import JSON_TYPE, Answer, Headers
from batchrun.emulator.envelopes import Refusal, not_found
from batchrun.emulator.faults import Rule
from batchrun.emulator.files.references import attach_files
from batchrun.emulator.media.medium import Unusable
from batchrun.emulator.orders import taken
from batchrun.emulator.outcome import Outcome
from batchrun.emulator.pool import Pool
from batchrun.emulator.reading import read_body
from batchrun.emulator.replies.chat import chat_request, outcome_from
from batchrun.emulator.replies.completions import Declined, completion
from batchrun.emulator.replies.gguf import GgufFile
from batchrun.emulator.replies.model_server import ModelServer
from batchrun.emulator.replies.parts import part_of
from batchrun.emulator.rules.request import Order
from batchrun.emulator.service import Service
from batchrun.emulator.spoiled import spoil_outcome
from batchrun.emulator.storage import Kept
from batchrun.emulator.timeline import timeline
from batchrun.emulator.usage import step_tokens, usage_of
from batchrun.emulator.views import seen_at, tail_of

_SCHEMA = "CREATE TABLE IF NOT EXISTS asked (id TEXT PRIMARY KEY, fault TEXT, seconds REAL)"
Spoil = Callable[[Answer], Answer]


def attach_model(service: Service) -> None:
    """Let a model server answer, if the settings name one. Raises SpecError if it cannot be started."""
    replies = service.settings.replies
    if not isinstance(replies, ModelServer | GgufFile):
        return
    server = replies.opened()
    connection = service.store.connection
    connection.execute(_SCHEMA)
    left = [name for (name,) in connection.execute("SELECT id FROM asked ORDER BY rowid")]
    service.pool = Pool(partial(_work, service, server), server.at_once, left)


def ask(service: Service, kept: Kept, rule: Rule | None) -> None:
    """Have a kept interaction answered; `rule` is the fault that will shape its end."""
    if service.pool is None or (rule is not None and rule.kind == "stuck"):
        return
    fault = (rule.kind, rule.seconds) if rule else (None, None)
    service.store.connection.execute("INSERT INTO asked VALUES (?, ?, ?)", (kept.id, *fault))
    if rule is not None and rule.kind != "late_usage":
        service.lasting.begin(kept, rule, None)
    service.pool.add(kept.id)


def answer_when_there(service: Service, kept: Kept, headers: Headers, spoil: Spoil, *, stream: bool) -> Answer:
    """What a foreground create answers: nothing, or the first event, until the model server has answered."""

    async def coming() -> Answer:
        try:
            done = await _done(service, kept.id)
        except Refusal as refusal:
            return refusal.answer
        body = sse.closing_events(done) if stream else seen_at(done, done.ready_at)
        return spoil(Answer(200, body, sse.TYPE if stream else JSON_TYPE, headers))

    if stream:
        return Answer(200, sse.opening_events(kept), sse.TYPE, headers, coming=coming)
    return Answer(200, b"", headers=headers, coming=coming)


def stream_when_there(service: Service, kept: Kept, after: str) -> Answer:
    """The stream of a GET: what is there, then the rest."""

    async def coming() -> Answer:
        try:
            return Answer(200, sse.closing_events(await _done(service, kept.id), after), sse.TYPE)
        except Refusal as refusal:
            return refusal.answer

    return Answer(200, sse.opening_events(kept, after) or b":\n\n", sse.TYPE, coming=coming)


async def _done(service: Service, name: str) -> Kept:
    if service.pool is not None:
        await service.pool.end_of(name)
    kept = service.store.find(name)
    if kept is None:
        raise not_found(name)
    if kept.cancelled_at is None and not kept.tail:
        await asyncio.Event().wait()  # stuck on purpose, or the emulator is going away
    return kept


async def _work(service: Service, server: ModelServer, name: str) -> None:
    row = service.store.connection.execute("SELECT fault, seconds FROM asked WHERE id = ?", (name,)).fetchone()
    kept = service.store.find(name)
    if row is not None and kept is not None and kept.cancelled_at is None:
        rule = Rule(row[0], seconds=row[1]) if row[0] else None
        await _answered(service, server, kept, rule)
    _forget(service.store.connection, name)


async def _answered(service: Service, server: ModelServer, kept: Kept, rule: Rule | None) -> None:
    """The end of an interaction: what the model server says, or a failure that says why there is none."""
    try:
        order = taken(service, read_body(service.store.request(kept.id)), kept.created)
    except Refusal as refusal:  # it was taken once: a file of it is gone since
        _finish(service, kept.id, None, _failed("failed_precondition", _told(refusal)), rule)
        return
    _finish(service, kept.id, order, await _outcome(service, server, order), rule)


def _finish(service: Service, name: str, order: Order | None, outcome: Outcome, rule: Rule | None) -> None:
    kept = service.store.find(name)
    if kept is None or kept.cancelled_at is not None:
        return
    now = max(service.settings.clock(), kept.queued_until)
    usage, shown = outcome.usage or {}, spoil_outcome(outcome, rule)
    tokens = int(usage.get("total_input_tokens", 0) + usage.get("total_output_tokens", 0))
    service.store.finish(name, now, tail_of(shown, now), tokens)
    service.quota.release(name)
    if rule is not None:
        service.lasting.begin(kept._replace(ready_at=now), rule, outcome.usage)
    if order is not None and service.hooks.wanted(order):
        service.hooks.expect(kept._replace(ready_at=now), order, shown.status)


def _forget(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("DELETE FROM asked WHERE id = ?", (name,))


async def _outcome(service: Service, server: ModelServer, order: Order) -> Outcome:
    try:
        given = partial(part_of, text_only=server.text_only)
        request = await chat_request(order, _conversation(service, order), server.model, given)
        return _counted(outcome_from(await completion(server.url, request)), order)
    except Unusable as unusable:
        return _failed("invalid_request", f"The model server cannot be asked: {unusable}.")
    except Declined as declined:
        return _failed("invalid_request", f"The model server at {server.url} declines: {declined}.")
    except Exception as error:  # whatever a model server does, an interaction comes to an end
        return _failed("api_error", f"The model server at {server.url} gave no answer: {_told(error)}")


def _conversation(service: Service, order: Order) -> list[dict[str, Any]]:
    """The steps of the whole chain, with uploaded files in their place."""
    before = order.body.get("previous_interaction_id")
    parent = service.store.find(before) if before else None
    earlier = timeline(service.store, parent)
    attach_files(service, earlier, service.settings.clock())
    return [*earlier, *order.steps]


def _counted(outcome: Outcome, order: Order) -> Outcome:
    """With usage: the server's, or as the synthetic answers count, for a client would wait for one to come."""
    if outcome.usage is not None:
        return outcome
    return replace(outcome, usage=usage_of(step_tokens(order.steps), step_tokens(outcome.steps), 0))


def _told(error: Exception) -> str:
    if isinstance(error, Refusal):
        return error.message
    return str(error) or type(error).__name__


def _failed(code: str, message: str) -> Outcome:
    return Outcome("failed", [], None, [{"code": code, "message": message}])
