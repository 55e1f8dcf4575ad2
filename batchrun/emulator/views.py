"""An interaction as JSON bytes, as a function of its row and of the time.

`head` is everything that stands from the start, `tail` is the end that it comes to. They are kept as bytes, so a poll
costs one look-up and no JSON work.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from batchrun.emulator.answers import dump
from batchrun.emulator.outcome import Outcome
from batchrun.emulator.rules.request import Order
from batchrun.emulator.spoiled import deepened
from batchrun.emulator.storage import Kept

_ECHOED = ("model", "agent", "previous_interaction_id", "labels")
_LAST_SECOND = 253_402_300_799.0


def head_of(name: str, order: Order, created: float | None, environment_id: str | None) -> bytes:
    """The first half, up to the status and without it. Without `created` for those that are stamped at their end."""
    head: dict[str, Any] = {"id": name, "object": "interaction"}
    head |= {field: order.body[field] for field in _ECHOED if field in order.body}
    if environment_id is not None:
        head["environment_id"] = environment_id
    stamp = {} if created is None else {"created": timestamp(created)}
    head |= {"role": "model", "service_tier": order.tier, **stamp, "emulated": True}
    return dump(head)[:-1]


def tail_of(outcome: Outcome, ready_at: float) -> bytes:
    """The second half, from the status on."""
    stamp = {"created": timestamp(ready_at)} if outcome.late else {}
    tail: dict[str, Any] = {"status": outcome.status, **stamp, "updated": timestamp(ready_at), **outcome.extra}
    if outcome.steps or outcome.status == "completed":
        tail["steps"] = outcome.steps
    if outcome.usage is not None:
        tail["usage"] = outcome.usage
    if outcome.errors is not None:
        tail["errors"] = outcome.errors
    end = b"," + _dump(tail)[1:]
    return deepened(end) if outcome.extra else end


def opening(kept: Kept) -> bytes:
    """The interaction as the answer to a background create shows it: never finished, however short it takes."""
    return _short(kept, "queued" if kept.queued_until > kept.created else "in_progress", kept.created)


def seen_at(kept: Kept, now: float) -> bytes:
    """The interaction as a client sees it at `now`."""
    if kept.cancelled_at is not None:
        return _short(kept, "cancelled", kept.cancelled_at)
    if now < kept.queued_until:
        return _short(kept, "queued", kept.created)
    if now < kept.ready_at:
        return _short(kept, "in_progress", kept.created)
    return kept.head + kept.tail


def timestamp(at: float) -> str:
    """Unix seconds as YYYY-MM-DDThh:mm:ssZ."""
    return _second(int(min(max(at, 0.0), _LAST_SECOND)))


@lru_cache(maxsize=256)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _short(kept: Kept, status: str, updated: float) -> bytes:
    stamp = b"" if b'"created":' in kept.head else b',"created":"%b"' % timestamp(kept.created).encode()
    return b'%b%b,"status":"%b","updated":"%b"}' % (kept.head, stamp, status.encode(), timestamp(updated).encode())


def _dump(tail: dict[str, Any]) -> bytes:
    try:
        return dump(tail)
    except UnicodeEncodeError:  # a lone surrogate, put there on purpose, goes out as an escape
        return dump(tail, ascii_only=True)
