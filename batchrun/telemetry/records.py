"""From an event to a record of the log: an action of a closed list, and plain values. Pure.

Prompts and answers are in no record: only keys, ids, figures and the words of errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from functools import lru_cache
from typing import Any

from batchrun.engine.events import (
    AlertFailed,
    Called,
    Ended,
    Event,
    Expiring,
    Landed,
    Listening,
    Paused,
    Polled,
    PollFailed,
    Posted,
    RowEnded,
    Salvaged,
    Started,
    Steered,
    Stopping,
    Telling,
    UploadFailed,
    WebhooksCame,
)
from batchrun.errors import BatchrunError
from batchrun.glyphs import safe
from batchrun.interactions.usage import plausible_tokens
from batchrun.outputs.summary import CLASSES, Summary
from batchrun.rows import Outcome

Fields = dict[str, Any]

#: Kinds of tokens that are told apart.
KINDS = ("input", "output", "thought", "cached", "tool_use")
_TOTALS = tuple((kind, f"total_{kind}_tokens") for kind in KINDS)
#: Characters of a key, or of an error's words, that one record holds.
_LONGEST = 1000
_PLAIN = re.compile(r"[\w.:/+@%-]+", re.ASCII)


class Level(IntEnum):
    """How much a record matters. A log takes those of its level and above."""

    DEBUG = 10
    INFO = 20
    WARNING = 30


_NAMES = {level: level.name.lower() for level in Level}
_ENCODER = json.JSONEncoder(default=str)

#: Every action there is, with what it says.
ACTIONS = {
    "run.started": "A run began: its rows, and how many of them are in flight at the service",
    "run.resumed": "It was gone on with, after so many `earlier` processes",
    "run.stopping": "It sends nothing more, for this `reason`, and waits for open POSTs",
    "run.ended": "A process has ended, with the run's counts, tokens and exit code; `stopped` is what ended it early",
    "run.failed": "A process has ended before the run's end could be written, with the error and its exit code",
    "row.posted": "A POST was made: `result` is submitted, fetched, refused, not_sent or ambiguous",
    "row.salvaged": "The interaction of a POST of unknown fate was found; nothing is lost",
    "row.landed": "An interaction is in flight no more: seconds since it was submitted, polls, tokens (level debug)",
    "row.ended": "A row has its `outcome`; all but success have a `class` and an `error`",
    "poll.made": "A poll was made (level debug)",
    "poll.failed": "A poll brought nothing that can be used; it is made again",
    "function.called": "A function of yours was run; `failed` if it gave the model an error",
    "upload.failed": "A file could not be uploaded; the next try is after `seconds`",
    "paused": "The service asked for a pause of so many `seconds`; nothing is sent meanwhile",
    "run.steered": "Somebody steered the run, and this came of it; `paused` if it is now, `limits` that were set",
    "webhooks.heard": "Webhooks of the service are heard at this `address`",
    "webhooks.came": "So many have come: told at the first that is `refused`, and at the end",
    "alerts.telling": "The run's work is done, and the targets of its alerts are told",
    "alert.failed": "An alert could not be told to a target",
    "results.expiring": "What is in flight will not be kept for much longer",
    "log.lost": "So many `records` could not be written",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the log, but for when it was and whose it is. Of its `fields` those without a value are left out."""

    action: str
    level: Level
    fields: Fields


def record_of(event: Event) -> Record:
    """What the log says of an event."""
    match event:
        case Started() | Stopping() | Ended():
            return _of_run(event)
        case Posted(key, result, stage, name, attempt, seconds, said):
            fields = _row(key, stage, interaction=name, attempt=attempt, result=result)
            went_well = result in ("submitted", "fetched")
            return _record("row.posted", went_well, fields, seconds=seconds, error=said)
        case Landed(key, tokens, stage, name, seconds, polls, usage):
            fields = _row(key, stage, interaction=name, seconds=seconds, polls=polls, tokens=tokens)
            return Record("row.landed", Level.DEBUG, fields | tokens_of(usage))
        case RowEnded(key, outcome, kind, message, stage):
            went_well = outcome in (Outcome.SUCCEEDED, Outcome.SKIPPED)
            fields = _row(key, stage, outcome=str(outcome))
            return _record("row.ended", went_well, fields, **{"class": kind, "error": message})
        case Polled(key, stage, name):
            return Record("poll.made", Level.DEBUG, _row(key, stage, interaction=name))
    return _of_trouble(event)


def _of_run(event: Started | Stopping | Ended) -> Record:
    match event:
        case Started(rows, in_flight, _, _, target, earlier):
            fields = {"rows": rows, "in_flight": in_flight, "target": target, "earlier": earlier or None}
            return _record("run.resumed" if earlier else "run.started", True, fields)
        case Stopping(reason):
            return _record("run.stopping", False, {"reason": reason})
        case Ended(summary, exit_code, stopped):
            return _record("run.ended", not exit_code, _counts(summary), exit_code=int(exit_code), stopped=stopped)


def _of_trouble(event: Event) -> Record:
    match event:
        case PollFailed(key, reason, stage, name):
            return _record("poll.failed", False, _row(key, stage, interaction=name), error=reason)
        case Salvaged(key, name, stage):
            return _record("row.salvaged", True, _row(key, stage, interaction=name))
        case Called(key, function, _, is_error, stage):
            return _record("function.called", not is_error, _row(key, stage, function=function), failed=is_error)
        case UploadFailed(file, seconds, reason):
            return _record("upload.failed", False, {"file": file, "seconds": seconds}, error=reason)
        case Paused(seconds, reason):
            return _record("paused", False, {"seconds": seconds}, error=reason)
        case Steered(text, paused, limits):
            said = {"said": text, "paused": paused, "limits": dict(limits) or None}
            return _record("run.steered", True, said)
        case Listening(address):
            return _record("webhooks.heard", True, {"address": address})
        case WebhooksCame(events, repeated, refused):
            return _record("webhooks.came", not refused, {"events": events, "repeated": repeated, "refused": refused})
        case Telling():
            return _record("alerts.telling", True, {})
        case AlertFailed(reason):
            return _record("alert.failed", False, {}, error=reason)
        case Expiring(warning):
            return _record("results.expiring", False, {"warning": warning})
    raise AssertionError(f"no record for {type(event).__name__}")


def failure(error: BatchrunError) -> Record:
    """What the log says of a process that an error has ended."""
    return _record("run.failed", False, {"error": str(error), "exit_code": int(error.exit_code)})


def lost(records: int) -> Record:
    """What it says of records that are missing in it."""
    return _record("log.lost", False, {"records": records})


def tokens_of(usage: Mapping[str, Any] | None) -> dict[str, int]:
    """The tokens of a usage object by kind, as far as it says them."""
    if not usage:
        return {}
    return {f"{kind}_tokens": count for kind, name in _TOTALS if (count := plausible_tokens(usage, name)) is not None}


def is_beneath(level: Level, event: Event) -> bool:
    """Whether a log of this level has no record of an event that there are many of: it need not look any closer."""
    match event:
        case Landed() | Polled():
            return level > Level.DEBUG
        case Posted(result="submitted") | RowEnded(outcome=Outcome.SUCCEEDED):
            return level > Level.INFO
    return False


def document(record: Record, at: float, job: str, run: str) -> Fields:
    """A record as JSON values; `at` is Unix seconds."""
    head = {"time": _time(at), "level": _NAMES[record.level], "action": record.action, "job": job, "run": run}
    found = {name: _cut(value) for name, value in record.fields.items() if value is not None and value != ""}
    return head | found


def json_line(value: Fields) -> str:
    """One line of ASCII: nothing in it can end the line, or move a terminal's cursor."""
    return _ENCODER.encode(value) + "\n"


def text_line(value: Mapping[str, Any]) -> str:
    """One line for people: time, level and action, then `name=value`. The record may be another program's."""
    rest = {name: each for name, each in value.items() if name not in ("time", "level", "action")}
    head = [one_line(value.get("time", "")), f"{one_line(value.get('level', '')):7}", one_line(value.get("action"))]
    return " ".join([*head, *(f"{one_line(name)}={_shown(each)}" for name, each in rest.items())]) + "\n"


def _record(action: str, went_well: bool, fields: Fields, **more: Any) -> Record:
    return Record(action, Level.INFO if went_well else Level.WARNING, fields | more if more else fields)


def _row(key: str, stage: str, **fields: Any) -> Fields:
    return {"row": key, "stage": stage, **fields}


def _cut(value: Any) -> Any:
    """Of a length that suits a line."""
    if isinstance(value, float):
        return round(value, 3)
    return value[:_LONGEST] + "…" if isinstance(value, str) and len(value) > _LONGEST else value


def _counts(summary: Summary) -> Fields:
    """The totals of a run; classes without a row are left out."""
    classes = {name: getattr(summary, name) or None for name in (*CLASSES, "in_flight")}
    tokens = {f"{kind}_tokens": summary.usage.get(f"total_{kind}_tokens") for kind in KINDS}
    work = {"posts": summary.posts, "posts_now": summary.posts_this_run, "polls": summary.polls}
    return {"rows": summary.rows, **classes, **work, **tokens, "seconds": summary.elapsed_s}


def _time(at: float) -> str:
    """RFC 3339, with milliseconds."""
    whole, milliseconds = divmod(int(at * 1000), 1000)
    return f"{_second(whole)}.{milliseconds:03}Z"


@lru_cache(maxsize=2)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    if _PLAIN.fullmatch(text):
        return text
    return one_line(json.dumps(text, ensure_ascii=False)) if isinstance(value, str) else one_line(text)


def one_line(value: object) -> str:
    """A value as text in which nothing is hidden, and which is one line."""
    return safe(str(value)).replace("\n", "\\n")
