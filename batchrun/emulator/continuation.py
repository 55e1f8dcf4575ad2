"""Long answers in hops: a foreground call stops at the decode limit with a token, the next call goes on from there.

The whole answer is a function of the first request, so a token only says how far it was told and to whom it belongs.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from batchrun.emulator.draws import digest
from batchrun.emulator.envelopes import invalid, not_found
from batchrun.emulator.outcome import Outcome
from batchrun.emulator.prompts import Prompt
from batchrun.emulator.rules.request import Order
from batchrun.emulator.service import Service
from batchrun.emulator.storage import Kept, Store
from batchrun.emulator.timeline import asked_of
from batchrun.emulator.tools.citing import shortened
from batchrun.emulator.turns import spoken
from batchrun.emulator.usage import text_tokens

_MARK = b"hop:"
_MOST_HOPS = 1000


@dataclass(frozen=True, slots=True)
class Resumed:
    """A request that goes on. `request` is the first one again, `at` how many characters have been told."""

    request: Mapping[str, Any]
    at: int
    key: bytes
    before: str | None

    def echoed(self, order: Order) -> Order:
        """The order as the answer shows it: continuing the hop before, not what that one continued."""
        body = {name: value for name, value in order.body.items() if name != "previous_interaction_id"}
        return replace(order, body=body | ({"previous_interaction_id": self.before} if self.before else {}))


def resume(service: Service, raw: Mapping[str, Any], now: float) -> Resumed:
    """What a request with a `continuation_token` goes on with. Raises `Refusal` if it cannot."""
    token = raw["continuation_token"]
    at, key = _read(token)
    request = {name: value for name, value in raw.items() if name != "continuation_token"}
    before = raw.get("previous_interaction_id")
    if raw.get("input") is None:
        first = _first_request(service.store, _hop(service, before, token, now))
        request |= {name: first.get(name) for name in ("input", "previous_interaction_id")}
    return Resumed(request, at, key, before if isinstance(before, str) else None)


def _hop(service: Service, name: object, token: str, now: float) -> Kept:
    if not isinstance(name, str):
        raise invalid("'continuation_token' needs 'previous_interaction_id', or the original input with store=false.")
    kept = service.store.find(name)
    if kept is None or service.expired(kept, now):
        raise not_found(name)
    if token.encode() not in kept.tail:
        raise invalid(f"The continuation_token does not belong to interaction {name!r}.")
    return kept


def _first_request(store: Store, hop: Kept) -> dict[str, Any]:
    """The request that the hops began with: the nearest one with an input."""
    kept: Kept | None = hop
    for _ in range(_MOST_HOPS):
        asked = asked_of(store, kept) if kept is not None else {}
        if asked.get("input") is not None:
            return asked
        before = asked.get("previous_interaction_id")
        kept = store.find(before) if isinstance(before, str) else None
    raise invalid("The interaction that this one continues is not there any more.")


def hop_of(outcome: Outcome, order: Order, prompt: Prompt, limit: int | None, resumed: Resumed | None) -> Outcome:
    """The part of an outcome that one call tells: all of it, unless a limit or a token says otherwise."""
    if resumed is None and (limit is None or order.background or order.agent is not None):
        return outcome
    if resumed is not None and resumed.key != _owner(prompt):
        raise invalid("The continuation_token does not belong to this request; repeat it unchanged.")
    if not outcome.steps or outcome.steps[-1]["type"] != "model_output" or outcome.usage is None:
        return outcome
    block = outcome.steps[-1]["content"][-1]
    return _told(outcome, block, prompt, limit, resumed.at if resumed else 0) if "text" in block else outcome


def _told(outcome: Outcome, block: dict[str, Any], prompt: Prompt, limit: int | None, at: int) -> Outcome:
    text = block["text"]
    end = len(text) if limit is None else min(len(text), at + limit * 4)
    if at == 0 and end == len(text):
        return outcome
    piece = shortened({} if at else block, text[at:end])
    steps = [*([] if at else outcome.steps[:-1]), spoken(piece)]
    told = replace(outcome, steps=steps, usage=_usage(outcome.usage or {}, text[:at], text[at:end]))
    if end == len(text):
        return told
    token = _token(end, _owner(prompt))
    return replace(told, status="requires_continuation", extra={**outcome.extra, "continuation_token": token})


def _usage(usage: Mapping[str, Any], before: str, piece: str) -> dict[str, Any]:
    """Every hop reads the input and what was told before, and is billed for it."""
    again, out = text_tokens(before), text_tokens(piece)
    first = usage["total_input_tokens"]
    thoughts = 0 if before else usage["total_thought_tokens"]
    inputs = [dict(entry) for entry in usage["input_tokens_by_modality"]]
    for entry in inputs:
        entry["tokens"] += again if entry["modality"] == "text" else 0
    return {
        **usage,
        "total_tokens": first + again + out + thoughts,
        "initial_input_tokens": first,
        "total_input_tokens": first + again,
        "input_tokens_by_modality": inputs,
        "total_output_tokens": out,
        "output_tokens_by_modality": [{"modality": "text", "tokens": out}],
        "total_thought_tokens": thoughts,
    }


def _owner(prompt: Prompt) -> bytes:
    return digest("continuation", prompt.key)[:12]


def _token(at: int, owner: bytes) -> str:
    return urlsafe_b64encode(_MARK + owner + b"%d" % at).rstrip(b"=").decode()


def _read(token: object) -> tuple[int, bytes]:
    """How far it was told, and whom the token belongs to."""
    try:
        plain = urlsafe_b64decode(f"{token}===") if isinstance(token, str) else b""
    except (binascii.Error, ValueError):
        plain = b""
    number = plain[len(_MARK) + 12 :]
    if not plain.startswith(_MARK) or not number.isdigit() or len(number) > 9:
        raise invalid("Invalid 'continuation_token': it was not issued by this service.")
    return int(number), plain[len(_MARK) : len(_MARK) + 12]
