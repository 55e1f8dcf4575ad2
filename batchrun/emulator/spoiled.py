"""Faults that shape an interaction's end, and faults that spoil the answer to a create that worked."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Any

from batchrun.emulator.answers import Answer, Line, dump
from batchrun.emulator.bodies import bomb, dribbled, giant
from batchrun.emulator.envelopes import classic, classic_error
from batchrun.emulator.faults import Rule
from batchrun.emulator.outcome import Outcome

_DEEP = 100_000
_WITHIN_THE_ID = len(b'{"id":"v1_abcdefgh')
#: Put into an interaction as a string and replaced in its bytes: the JSON writer itself cannot nest that deep.
_DEEP_MARK = "emulated-deep-json"
_DEEP_FIELD = b'"emulated_depth":%b'


def spoil_outcome(outcome: Outcome, rule: Rule | None) -> Outcome:
    """The end that the rule asks for; the undisturbed one where it asks for none."""
    spoil = _OUTCOMES.get(rule.kind) if rule else None
    return spoil(outcome) if spoil else outcome


def deepened(document: bytes) -> bytes:
    """The bytes of an interaction with the nested JSON in the place of its mark."""
    return document.replace(_DEEP_FIELD % f'"{_DEEP_MARK}"'.encode(), _DEEP_FIELD % _nested())


def flattened(document: bytes) -> bytes:
    """The bytes of an interaction that can be read again: with the mark in the place of the nested JSON."""
    return document.replace(_DEEP_FIELD % _nested(), _DEEP_FIELD % f'"{_DEEP_MARK}"'.encode())


def _nested() -> bytes:
    return b"[" * _DEEP + b"]" * _DEEP


def spoil_answer(answer: Answer, rule: Rule | None) -> Answer:
    """The answer to a create that worked, as the client gets to see it."""
    spoil = _ANSWERS.get(rule.kind) if rule else None
    return spoil(answer, rule) if spoil and rule else answer


def _failed(outcome: Outcome) -> Outcome:
    errors = [{"code": "api_error", "message": "Internal error encountered. (emulated)"}]
    return Outcome("failed", [], None, errors)


def _half(outcome: Outcome) -> Outcome:
    return replace(_with_text(outcome, lambda text: text[: len(text) // 2]), status="incomplete")


def _with_text(outcome: Outcome, change: Callable[[str], str]) -> Outcome:
    steps = [_changed(step, change) for step in outcome.steps]
    return replace(outcome, steps=steps)


def _changed(step: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    if step["type"] != "model_output":
        return step
    content = [{**block, "text": change(block["text"])} if "text" in block else block for block in step["content"]]
    return {**step, "content": content}


def _wrong_types(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, dict) and value:
        return dump({name: _wrong_type(item) for name, item in value.items()}).decode()
    return dump(_wrong_type(value)).decode()


def _wrong_type(value: object) -> object:
    return 17 if isinstance(value, str | list | dict | bool) or value is None else {"emulated": "wrong type"}


def _surrogate(text: str) -> str:
    """An unpaired surrogate inside the first string of a JSON text, or at the end of a plain one."""
    at = text.find(':"') + 2
    if text[:1] in ("{", "[") and at > 1:
        return text[:at] + "\ud800" + text[at:]
    return text + "\ud800"


_OUTCOMES: Mapping[str, Callable[[Outcome], Outcome]] = {
    "failed": _failed,
    "failed_no_errors": lambda _: Outcome("failed", [], None),
    "incomplete": _half,
    "cancelled": lambda _: Outcome("cancelled", [], None),
    "budget_exceeded": lambda outcome: replace(_half(outcome), status="budget_exceeded"),
    "unknown_status": lambda outcome: replace(outcome, status="paused_for_review"),
    "no_steps": lambda outcome: replace(outcome, steps=[]),
    "no_usage": lambda outcome: replace(outcome, usage=None),
    "late_usage": lambda outcome: replace(outcome, usage=None),
    "invalid_json": lambda outcome: _with_text(outcome, lambda text: f"Here is the JSON:\n{text[:-1]}"),
    "schema_violation": lambda outcome: _with_text(outcome, _wrong_types),
    "lone_surrogate": lambda outcome: _with_text(outcome, _surrogate),
    "deep_json": lambda outcome: _with_text(outcome, lambda _: "[" * _DEEP + "]" * _DEEP),
    "deep_answer": lambda outcome: replace(outcome, extra={"emulated_depth": _DEEP_MARK}),
}


def _without_id(answer: Answer, rule: Rule) -> Answer:
    return _edited(answer, lambda document: document.pop("id", None))


def _bad_id(answer: Answer, rule: Rule) -> Answer:
    return _edited(answer, lambda document: document.update(id="../etc/passwd"))


def _edited(answer: Answer, edit: Callable[[dict[str, Any]], object]) -> Answer:
    if answer.content_type.startswith(b"text/event-stream"):
        later = tuple((wait, _edited_events(piece, edit)) for wait, piece in answer.later)
        return replace(answer, body=_edited_events(answer.body, edit), later=later)
    document = json.loads(flattened(answer.body))
    edit(document)
    return replace(answer, body=deepened(dump(document, ascii_only=True)))


def _edited_events(events: bytes, edit: Callable[[dict[str, Any]], object]) -> bytes:
    """Events with the interaction edited in those that show it."""
    lines = events.split(b"\n")
    for number, line in enumerate(lines):
        if line.startswith(b'data: {"event_type":"interaction.'):
            event = json.loads(line.removeprefix(b"data: "))
            edit(event["interaction"])
            lines[number] = b"data: " + dump(event, ascii_only=True)
    return b"\n".join(lines)


def _instead(status: int, message: str) -> Callable[[Answer, Rule], Answer]:
    return lambda answer, rule: replace(classic(status, message).answer, delay=answer.delay)


def _while_it_works(line: Line) -> Callable[[Answer, Rule], Answer]:
    """The connection goes while the interaction may still be in progress; a stream has begun by then."""

    def spoil(answer: Answer, rule: Rule) -> Answer:
        if answer.later:
            return replace(answer, later=((rule.delay, b""),), line=Line.CUT)
        return replace(answer, delay=rule.delay, line=line)

    return spoil


def _truncated(answer: Answer, rule: Rule) -> Answer:
    """Half of the answer, or of the last part of a stream."""
    if answer.later:
        wait, piece = answer.later[-1]
        answer = replace(answer, later=(*answer.later[:-1], (wait, piece[: len(piece) // 2])))
    return replace(answer, line=Line.CUT)


def _cut_stream(answer: Answer, rule: Rule) -> Answer:
    """At the limit; a stream that would not last so long ends in its middle."""
    failure = classic_error(503, "The service is currently unavailable. (emulated)")
    return _shortened(answer, rule.delay, dump([failure]))


def _ended_stream(answer: Answer, rule: Rule) -> Answer:
    return _shortened(answer, math.inf, b"")


def _shortened(answer: Answer, limit: float, last: bytes) -> Answer:
    """A stream up to the limit, or half of its remaining events where all of them would come before that."""
    if not answer.content_type.startswith(b"text/event-stream"):
        return answer
    events = [event for piece in answer.later or ((0.0, answer.body),) for event in _one_by_one(*piece)]
    ends = accumulate(wait for wait, _ in events)
    kept = [event for event, end in zip(events, ends, strict=True) if end <= limit]
    if len(kept) == len(events):
        kept, pause = kept[: len(events) // 2], 0.0
    else:
        pause = limit - sum(wait for wait, _ in kept)
    return replace(answer, body=answer.body if answer.later else b"", later=(*kept, (pause, last)))


def _one_by_one(wait: float, events: bytes) -> list[tuple[float, bytes]]:
    framed = [event + b"\n\n" for event in events.removesuffix(b"\n\n").split(b"\n\n")]
    return [(0.0 if number else wait, event) for number, event in enumerate(framed)]


_ANSWERS: Mapping[str, Callable[[Answer, Rule], Answer]] = {
    "reset_during": _while_it_works(Line.RESET),
    "drop_during": _while_it_works(Line.DROPPED),
    "reset_after": lambda answer, rule: replace(answer, line=Line.RESET),
    "drop_after": lambda answer, rule: replace(answer, line=Line.DROPPED),
    "truncate": _truncated,
    "truncate_head": lambda answer, rule: replace(answer, line=Line.BARE, later=()),
    "truncated_200": lambda answer, rule: replace(answer, body=answer.body[: len(answer.body) // 2]),
    "truncated_id_200": lambda answer, rule: replace(answer, body=answer.body[:_WITHIN_THE_ID]),
    "garbage_200": lambda answer, rule: replace(answer, body=b"\x00\xff{]emulated garbage"),
    "no_id_200": _without_id,
    "bad_id_200": _bad_id,
    "500_created": _instead(500, "Internal error encountered. (emulated)"),
    "504_created": _instead(504, "Deadline expired before operation could complete. (emulated)"),
    "slow": lambda answer, rule: answer.slower(rule.delay),
    "slow_loris": dribbled,
    "giant_body": giant,
    "gzip_bomb": bomb,
    "sse_cut": _cut_stream,
    "sse_truncated": _ended_stream,
}
