"""A run's books held against the emulator's ledger, which no death of the run's can touch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from batchrun.store.records import FREE
from tests.reliability.scenarios import EFFECTS

Entry = dict[str, Any]
_INTENT = "batchrun-intent"


class Judge:
    """Reads a ledger that many runs share; a run's own lines have the name of its directory in the label `where`."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger

    def count(self, where: Path) -> int:
        """How many POSTs of the run in `where` have arrived so far."""
        return sum(_mark(where) in line for line in self._lines())

    def posts(self, where: Path) -> list[Entry]:
        """The POSTs that arrived of the run in `where`."""
        return [json.loads(line) for line in self._lines() if _mark(where) in line]

    def faults(self, where: Path, *, rows: int, doubts: int, again: int = 0) -> list[str]:
        """What is wrong with the ended run in `where`, where exactly `doubts` rows may be held.

        `again` is how many POSTs of unknown fate may have been sent again.
        """
        outputs = json.loads((where / "runs/job/run.json").read_text())["outputs"]
        results = pq.read_table(outputs["results"]).to_pylist()
        usage = pq.read_table(outputs["usage"]).to_pylist()
        paid = [entry for entry in self.posts(where) if entry["billed"]]
        return [*_rows(results, rows, doubts), *_attempts(usage, again), *_payments(paid, usage), *_effects(where)]

    def _lines(self) -> list[bytes]:
        return self._ledger.read_bytes().split(b"\n")[:-1] if self._ledger.exists() else []


def _mark(where: Path) -> bytes:
    return b'"where":' + json.dumps(where.name).encode()


def _rows(results: Sequence[Entry], rows: int, doubts: int) -> Iterator[str]:
    counted = Counter(row["status"] for row in results)
    if len(results) != rows or len({row["key"] for row in results}) != rows:
        yield f"{rows - len(results)} of {rows} rows are lost"
    if counted != +Counter({"succeeded": rows - doubts, "ambiguous": doubts}):
        yield f"rows ended {dict(counted)} where {doubts} may be in doubt"


def _attempts(usage: Sequence[Entry], again: int) -> Iterator[str]:
    """An interaction has one attempt that may have cost something, but for those on record as sent again."""
    superseded = sum(attempt["superseded"] for attempt in usage)
    if superseded > again:
        yield f"{superseded} interactions were sent again, where {again} may be"
    costly = (attempt for attempt in usage if not attempt["superseded"] and attempt["state"] not in FREE)
    live = Counter((attempt["key"], attempt["exchange"]) for attempt in costly)
    yield from (f"{key}: interaction {n} has {times} attempts" for (key, n), times in live.items() if times > 1)


def _payments(paid: Sequence[Entry], usage: Sequence[Entry]) -> Iterator[str]:
    """Every payment has its intent on record, its id unless it is in doubt, and is the only one of its attempt."""
    attempts = {attempt["intent_key"]: attempt for attempt in usage}
    counted = Counter(entry["labels"][_INTENT] for entry in paid)
    for entry in paid:
        attempt = attempts.get(entry["labels"][_INTENT])
        if attempt is None:
            yield f"{entry['id']} was billed without an intent on record"
        elif counted[attempt["intent_key"]] > 1:
            yield f"{attempt['key']}: {entry['id']} is one of {counted[attempt['intent_key']]} payments for one attempt"
        elif attempt["state"] != "ambiguous" and attempt["interaction_id"] != entry["id"]:
            yield f"{attempt['key']}: {entry['id']} was billed and is lost ({attempt['state']})"


def _effects(where: Path) -> Iterator[str]:
    """A function of the user's ran at most once for a call; each call of the scenarios has a word of its own."""
    path = where / EFFECTS
    if path.exists():
        for word, times in Counter(path.read_text().splitlines()).items():
            if times > 1:
                yield f"a function ran {times} times for {word!r}"
