"""GET, cancel and DELETE of an interaction that exists."""

from __future__ import annotations

import json
from typing import Any

from batchrun.emulator import sse
from batchrun.emulator.answers import Answer, dump
from batchrun.emulator.bridge import stream_when_there
from batchrun.emulator.calls import Call
from batchrun.emulator.envelopes import Refusal, invalid, not_found, refuse
from batchrun.emulator.faults import Arrival, Rule, Target
from batchrun.emulator.reading import read_body
from batchrun.emulator.refusals import raise_refusal
from batchrun.emulator.service import Service
from batchrun.emulator.spoiled import spoil_answer
from batchrun.emulator.storage import Kept
from batchrun.emulator.streams import stream_of
from batchrun.emulator.timeline import asked_of
from batchrun.emulator.views import seen_at

_FLAGS = {"true": True, "false": False, "1": True, "0": False, "": True}


def get(service: Service, call: Call, name: str) -> Answer:
    service.counts.gets += 1
    now, rule = _enter(service, call, name, "get", service.counts.gets)
    kept = _find(service, name, now)
    if call.header("x-goog-fieldmask") not in ("", "*"):
        raise _partial("X-Goog-FieldMask")
    if not call.query_string:
        return spoil_answer(Answer(200, seen_at(kept, now)), rule)
    return spoil_answer(_queried(service, call, kept, now), rule)


def cancel(service: Service, call: Call, name: str) -> Answer:
    """Cancels a background interaction that still runs; refuses for any other."""
    service.counts.cancels += 1
    now, rule = _enter(service, call, name, "cancel", service.counts.cancels)
    kept = _find(service, name, now)
    if not kept.background:
        raise refuse("failed_precondition", f"Interaction {name!r} is not a background interaction.")
    if not kept.running(now):
        raise refuse("failed_precondition", f"Interaction {name!r} is not running and cannot be cancelled.")
    service.store.cancel(name, now)
    service.hooks.cancelled(name, asked_of(service.store, kept).get("webhook_config"), now)
    _let_go(service, name)
    service.endings.tell(name)
    if rule is not None and rule.kind == "499_on_cancel":
        raise refuse("cancelled", "The operation was cancelled. (emulated)")
    return spoil_answer(Answer(200, seen_at(kept._replace(cancelled_at=now), now)), rule)


def delete(service: Service, call: Call, name: str) -> Answer:
    """Forgets an interaction. It does not stop one that runs: that still counts as in flight, and webhooks hear of it.

    Only a model server is not kept busy for an answer that nobody can get.
    """
    service.counts.deletes += 1
    now, rule = _enter(service, call, name, "delete", service.counts.deletes)
    _find(service, name, now)
    service.store.delete(name)
    if service.pool is not None:
        _let_go(service, name)
    return spoil_answer(Answer(200, b"{}"), rule)


def _let_go(service: Service, name: str) -> None:
    """Nobody wants to know any more what it comes to."""
    service.quota.release(name)
    if service.pool is not None:
        service.pool.drop(name)


def _enter(service: Service, call: Call, name: str, on: Target, number: int) -> tuple[float, Rule | None]:
    """What comes before the interaction is looked at: the key, lasting outages, faults. Returns the time."""
    now = service.settings.clock()
    call.check_key(service.settings.bad_keys)
    service.outages.check(now, post=False)
    if on != "cancel" and not service.faults.watches(on):
        return now, None
    polled, labels = service.store.polled(f"{on} {name}"), _labels(service, name)
    arrival = Arrival(on, number, name.encode("utf-8", "replace"), polled, labels, "")
    rule = service.faults.find(arrival)
    if rule is not None:
        service.outages.begin(rule, now)
        raise_refusal(rule)
    return now, rule


def _labels(service: Service, name: str) -> dict[str, str]:
    """The labels of the request that made the interaction; a fault may be meant for its polls or its cancel."""
    kept = service.store.find(name)
    head: dict[str, Any] = json.loads(kept.head + b"}") if kept else {}
    return head.get("labels") or {}


def _find(service: Service, name: str, now: float) -> Kept:
    kept = service.store.find(name)
    if kept is None or not kept.stored or now < kept.visible_at or service.expired(kept, now):
        raise not_found(name)
    return service.lasting.seen(kept, now) if service.lasting.any else kept


def _queried(service: Service, call: Call, kept: Kept, now: float) -> Answer:
    """A GET with parameters: `stream`, `last_event_id`, `include_input`; masks are refused as the service does."""
    query = call.query
    if query.get("fields", "*") != "*":
        raise _partial("fields")
    streamed = _flag(query, "stream")
    after = query.get("last_event_id", "")
    if after and not streamed:
        raise invalid("'last_event_id' needs stream=true.")
    if after and not sse.is_event_id(after):
        raise invalid(f"Invalid 'last_event_id': {after[:40]!a} is the id of no event.")
    if streamed and service.pool is not None and service.pool.active(kept.id):
        return stream_when_there(service, kept, after)
    if streamed:
        return stream_of(service, kept, now, after=after)
    body = seen_at(kept, now)
    return Answer(200, _with_input(service, kept, body) if _flag(query, "include_input") else body)


def _partial(name: str) -> Refusal:
    return invalid(f"Partial responses are not supported: {name!r} must be '*'.")


def _with_input(service: Service, kept: Kept, body: bytes) -> bytes:
    try:
        asked = read_body(service.store.request(kept.id))
    except Refusal:
        return body
    return body[:-1] + b',"input":' + dump(asked.get("input")) + b"}"


def _flag(query: dict[str, str], name: str) -> bool:
    value = query.get(name, "false").lower()
    if value not in _FLAGS:
        raise invalid(f"Invalid value for query parameter {name!r}: expected true or false.")
    return _FLAGS[value]
