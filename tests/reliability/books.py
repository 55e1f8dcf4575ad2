"""The laws that no run may break, checked on its checkpoint against the ledger of the service that was paid.

I1  every POST that arrived has an attempt with its intent key
I2  a row has at most one live attempt an exchange
I3  a row that succeeded has its raw answer stored, and its output is made of it
I4  rows are outcomes and pending ones, and nothing else
I5  the usage on record is what the ledger says for the same interactions
I6  nothing goes backwards, but by a decision on record: `GUARDS` have SQLite refuse it as it happens
D   what is billed more than once is on record, counted, and within what the job allows
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from batchrun.emulator import read_ledger
from batchrun.store.reader import Reader
from batchrun.store.records import AttemptRecord, AttemptState, RowRecord

_ONWARD = (
    "intent>not_sent", "intent>refused", "intent>ambiguous", "intent>submitted", "intent>fetched",
    "not_sent>intent", "refused>intent", "submitted>fetched", "submitted>lost", "submitted>timed_out",
    "ambiguous>submitted", "ambiguous>fetched", "lost>submitted", "lost>fetched", "timed_out>submitted",
    "timed_out>fetched",
)  # fmt: skip
#: What came and was no answer has no status: such an interaction may be polled again, and the answer takes its place.
GUARDS = (
    f"""CREATE TRIGGER onward BEFORE UPDATE OF state ON attempt
        WHEN old.state != new.state AND old.state || '>' || new.state NOT IN {_ONWARD}
          AND NOT (old.state || '>' || new.state = 'fetched>submitted' AND old.interaction_status IS NULL)
        BEGIN SELECT RAISE(ABORT, 'I6: a state goes backwards'); END""",
    """CREATE TRIGGER kept BEFORE UPDATE ON attempt
       WHEN (old.interaction_id > '' AND new.interaction_id IS NOT old.interaction_id)
         OR (old.raw NOT NULL AND old.interaction_status NOT NULL AND new.raw IS NULL)
         OR (old.superseded_at NOT NULL AND new.superseded_at IS NULL)
       BEGIN SELECT RAISE(ABORT, 'I6: an attempt forgets'); END""",
    "CREATE TRIGGER remembered BEFORE DELETE ON attempt BEGIN SELECT RAISE(ABORT, 'I6: an attempt is deleted'); END",
    """CREATE TRIGGER final BEFORE UPDATE OF outcome ON row
       WHEN old.outcome NOT NULL AND old.outcome != 'awaiting_approval' AND new.outcome IS NOT old.outcome
         AND new.reopened_at IS old.reopened_at
       BEGIN SELECT RAISE(ABORT, 'I6: an outcome changes'); END""",
)
_FREE = (AttemptState.NOT_SENT, AttemptState.REFUSED)
_UNDER_WAY = (AttemptState.INTENT, AttemptState.SUBMITTED)
#: Faults after which the service tells no usage, though it bills.
_SILENT = ("no_usage", "late_usage")
#: Of an interaction that was cancelled, or whose answer is not one, no usage is known.
_UNTOLD = ("cancelled", None)


@dataclass(frozen=True)
class Allowed:
    """What the job and its user allow: new interactions for failed ones, and POSTs sent again in doubt.

    `reopened` is how often the user had rows tried again.
    """

    attempts: int
    resubmits: int
    posts: int
    reopened: int = 0


@dataclass(frozen=True)
class Books:
    """A run's checkpoint and the service's ledger, side by side.

    `epochs` is the life that each attempt was last sent in, `superseded_by` who replaced it, `tries` how often each
    function call was begun. `documents` are the service's interactions as they end, by id.
    """

    rows: list[RowRecord]
    attempts: list[AttemptRecord]
    epochs: dict[int, int]
    superseded_by: dict[int, str]
    tries: list[int]
    lines: list[dict[str, Any]]
    documents: dict[str, bytes]

    @property
    def pending(self) -> int:
        return sum(row.outcome is None for row in self.rows)

    def violations(self, keys: list[str], allowed: Allowed) -> list[str]:
        """What is against the laws, a line for each."""
        found = (
            self._posts(), self._live(), self._answers(), self._rows(keys), self._usage(), self._doubles(allowed),
            self._deaths(allowed), self._tools(allowed),
        )  # fmt: skip
        return [line for each in found for line in each]

    def _posts(self) -> Iterator[str]:
        known = {attempt.intent_key for attempt in self.attempts}
        for line in self.lines:
            unread = (
                line["labels"] is None and line["id"] is None
            )  # a body that was refused because it is no JSON there
            if key_of(line) not in known and not unread:
                yield f"I1: the POST {key_of(line)} (HTTP {line['status']}) has no attempt"

    def _live(self) -> Iterator[str]:
        live = Counter((each.key, each.stage, each.exchange) for each in self.attempts if each.live)
        yield from (f"I2: {place} has {count} live attempts" for place, count in live.items() if count > 1)

    def _answers(self) -> Iterator[str]:
        accepted = {key_of(line): line["id"] for line in self.lines if line["id"]}
        for row in self.rows:
            if row.outcome != "succeeded":
                continue
            attempt = row.attempt
            if attempt is None or attempt.raw is None:
                yield f"I3: {row.key} succeeded without an answer"
            elif not same(attempt.raw, self.documents.get(accepted.get(attempt.intent_key, ""), b"")):
                yield f"I3: the answer of {row.key} is not what the service said"
            elif (json.loads(attempt.raw).get("labels") or {}).get("batchrun-intent") != attempt.intent_key:
                yield f"I3: the answer of {row.key} is another's"

    def _rows(self, keys: list[str]) -> Iterator[str]:
        if [row.key for row in self.rows] != keys:
            yield f"I4: {len(keys)} rows went in, {[row.key for row in self.rows]} are there"
        ended = {row.key for row in self.rows if row.outcome is not None}
        for attempt in self.attempts:
            if attempt.live and attempt.state in _UNDER_WAY and attempt.key in ended:
                yield f"I4: {attempt.key} has ended, and attempt {attempt.id} is {attempt.state}"

    def _usage(self) -> Iterator[str]:
        lines = {key_of(line): line for line in self.lines if line["id"]}
        for attempt in self.attempts:
            line = lines.get(attempt.intent_key)
            if attempt.usage is not None and (line is None or attempt.usage != line["usage"]):
                yield f"I5: attempt {attempt.id} has the usage {attempt.usage}, the ledger {line and line['usage']}"
            elif attempt.usage is None and line and line["usage"] and _told(attempt, line["fault"]):
                yield f"I5: attempt {attempt.id} is without the usage that the ledger has"

    def _doubles(self, allowed: Allowed) -> Iterator[str]:
        """Law D. A line with an id is an interaction that exists, whether or not it is billed in the end."""
        accepted = Counter(key_of(line) for line in self.lines if line["id"])
        for attempt in self.attempts:
            if accepted[attempt.intent_key] > 1:
                yield f"D: attempt {attempt.id} was accepted {accepted[attempt.intent_key]} times"
            if attempt.state in _FREE and accepted[attempt.intent_key]:
                yield f"D: attempt {attempt.id} is said to have cost nothing, and was accepted"
        by_policy = [each for each in self.attempts if self.superseded_by.get(each.id) == "policy"]
        again = sum(each.state is AttemptState.AMBIGUOUS for each in by_policy)
        if again > allowed.resubmits:
            yield f"D: {again} POSTs were sent again in doubt, {allowed.resubmits} may be"
        thrown = Counter(each.key for each in by_policy if each.state is not AttemptState.AMBIGUOUS)
        most = (allowed.attempts - 1) * (allowed.reopened + 1)
        yield from (f"D: {count} answers of {key} were thrown away" for key, count in thrown.items() if count > most)
        place = {each.intent_key: (each.key, each.exchange) for each in self.attempts}
        paid = Counter(place[key] for key in accepted if key in place)
        replaced = Counter((each.key, each.exchange) for each in self.attempts if each.id in self.superseded_by)
        for where, count in paid.items():
            if count - 1 > replaced[where]:
                yield f"D: {where} was paid for {count} times, with {replaced[where]} decisions on record"

    def _deaths(self, allowed: Allowed) -> Iterator[str]:
        """A death leaves no more POSTs in doubt than were open."""
        doubts = Counter(self.epochs[each.id] for each in self.attempts if each.error_class == "process_died")
        yield from (f"D: life {n} left {count} POSTs in doubt" for n, count in doubts.items() if count > allowed.posts)

    def _tools(self, allowed: Allowed) -> Iterator[str]:
        again = [tries for tries in self.tries if tries > 1 + allowed.reopened]
        if again:
            yield f"D: functions ran again without being told to: {again}"


def read(checkpoint: Path, ledger: Path, service: Path) -> Books:
    """The books of a run that nobody writes to now; `service` is the emulator's state."""
    with Reader(checkpoint) as reader:
        rows, attempts = list(reader.rows()), list(reader.attempts(raw=True))
        rest = reader.connection.execute("SELECT id, epoch, superseded_by FROM attempt").fetchall()
        tries = [count for (count,) in reader.connection.execute("SELECT tries FROM tool_call")]
    return Books(
        rows,
        attempts,
        epochs={number: epoch for number, epoch, _ in rest},
        superseded_by={number: by for number, _, by in rest if by is not None},
        tries=tries,
        lines=read_ledger(ledger) if ledger.exists() else [],
        documents=documents(service),
    )


def ended(books: Books, results: Path) -> Iterator[str]:
    """What is wrong after a life that came to its end: POSTs left undecided, output that the answers do not say."""
    for attempt in books.attempts:
        if attempt.state is AttemptState.INTENT:
            yield f"D: the POST of attempt {attempt.id} was cut off, though nobody died"
    shown = {row["key"]: row for row in pq.read_table(results, use_threads=False).to_pylist()}
    if list(shown) != [row.key for row in books.rows]:
        yield f"I4: the rows of the output are {list(shown)}"
    for row in books.rows:
        if (shown[row.key]["status"]) != (row.outcome or "pending"):
            yield f"I3: {row.key} is {row.outcome}, and {shown[row.key]['status']} in the output"
        elif row.outcome == "succeeded" and shown[row.key]["text"] != text_of((row.attempt and row.attempt.raw) or b""):
            yield f"I3: the output of {row.key} is not made of its answer"


def key_of(line: dict[str, Any]) -> str:
    """The intent key of a line of the ledger."""
    return str((line["labels"] or {}).get("batchrun-intent"))


def same(raw: bytes, document: bytes) -> bool:
    """Whether an answer is what the service said; its id may have been spoiled on the way, its usage come late.

    Polls may show another's label: an answer that came with its POST bears its own, which `_answers` looks at.
    """
    if raw == document:
        return True
    return bool(document) and _without(raw) == _without(document)


def text_of(raw: bytes) -> str | None:
    """The text in an answer's last outputs, read without batchrun. Lone surrogates are escaped, as files need it."""
    steps = json.loads(raw)["steps"]
    last = next((n for n in range(len(steps), 0, -1) if steps[n - 1]["type"] != "model_output"), 0)
    blocks = [block for step in steps[last:] for block in step["content"]]
    texts = [block["text"] for block in blocks if block["type"] == "text"]
    return "".join(texts).encode("utf-8", "backslashreplace").decode() if texts else None


def _told(attempt: AttemptRecord, fault: str | None) -> bool:
    """Whether the answer of an attempt, if it has one, says what was used."""
    fetched = attempt.state is AttemptState.FETCHED
    return fetched and fault not in _SILENT and attempt.interaction_status not in _UNTOLD


def _without(document: bytes) -> dict[str, Any]:
    return {name: value for name, value in json.loads(document).items() if name not in ("id", "usage", "labels")}


def documents(service: Path) -> dict[str, bytes]:
    if not service.exists():
        return {}
    with closing(sqlite3.connect(service)) as connection:
        return {name: head + tail for name, head, tail in connection.execute("SELECT id, head, tail FROM interactions")}
