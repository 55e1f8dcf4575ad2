"""What an edited job or input would have sent, and paid, again: counted, priced, and put for people."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchrun.engine.media import Libraries
from batchrun.engine.talk import so_far
from batchrun.errors import RowError
from batchrun.outputs.counts import counts_of
from batchrun.plurals import counted
from batchrun.prices.table import Prices, load_prices
from batchrun.runs.bills import cost_of
from batchrun.runs.comparison import Shown
from batchrun.runs.differences import differences
from batchrun.runs.forecast import forecast
from batchrun.spec.load import Job
from batchrun.store.amendment import Anew
from batchrun.store.reader import Reader
from batchrun.store.records import AttemptRecord

#: Rows whose requests are estimated; the rest are taken to be like them.
_SAMPLE = 200
_SHOWN = 10
_KINDS = ("input", "output", "thought")


@dataclass
class Changes:
    """What would be sent again. Counts are rows.

    `fields` are lines about the job's request. Of the rows to be sent `again`, each was or may have been billed; `free`
    ones were not. `gone` rows have left the input, `waiting` ones follow from those that are asked anew, `shown` are
    lines about single rows. `spent` are the tokens of the answers that would be replaced, `cost` their price in
    dollars, as far as they are known. `unsendable` are lines on those of the estimated rows that would lose their
    answer and get no other. `limited` is True where only the first rows were looked at.
    """

    fields: list[str] = field(default_factory=list)
    same: int = 0
    new: int = 0
    again: int = 0
    free: int = 0
    gone: int = 0
    waiting: int = 0
    waiting_tokens: int = 0
    waiting_cost: Decimal = Decimal(0)
    in_flight: int = 0
    shown: list[str] = field(default_factory=list)
    estimated: int = 0
    tokens: int = 0
    interactions: int = 0
    spent: Counter[str] = field(default_factory=Counter)
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    unsendable: list[str] = field(default_factory=list)
    limited: bool = False

    @property
    def refused(self) -> bool:
        """Whether the user has to accept them: paid results would be replaced, or left out."""
        return bool(self.again or self.gone or self.waiting)

    @property
    def estimated_tokens(self) -> int | None:
        """Input tokens of what would be sent again; None if no request could be made."""
        return self._of_all(self.tokens)

    def _of_all(self, of_estimated: int) -> int | None:
        return round(of_estimated / self.estimated * self.again) if self.estimated else None

    def add_gone(self, key: str, source: str) -> None:
        self.gone += 1
        self._show(f"gone: row {key!r} (was {source})")

    def _show(self, line: str) -> None:
        if len(self.shown) < _SHOWN:
            self.shown.append(line)

    def lines(self) -> Iterator[str]:
        """All of it, the rows' counts first."""
        yield f"rows: {self.same:,} the same, {self.new:,} new, {self.again:,} changed, {self.gone:,} gone"
        yield from self.shown
        if (more := self.again + self.gone - len(self.shown)) > 0:
            yield f"… and {counted(more, 'row')} more"
        yield from self.fields
        if self.again:
            yield from self._price()
        if self.waiting:
            taken = f"{counted(self.waiting_tokens, 'token')}, about ${self.waiting_cost:.6f}"
            yield (
                f"that follow from changed or new rows: {counted(self.waiting, 'row')} of later stages, which have "
                f"taken {taken}; each is asked anew only if its request turns out to be another one"
            )
        if self.limited:
            yield "these are the rows within the limit; --accept-change sets aside the answers of all that changed"

    def _price(self) -> Iterator[str]:
        interactions = self._of_all(self.interactions)
        about = "" if interactions is None else f": about {counted(interactions, 'interaction')}"
        reads = f" and {counted(self.estimated_tokens or 0, 'input token')}" if about else ""
        yield f"to send again: {counted(self.again, 'row')}{about}{reads}"
        spent = ", ".join(f"{self.spent[kind]:,} {kind}" for kind in _KINDS if self.spent[kind])
        price = f", about ${self.cost:.6f}" if self.cost else ""
        lacking = f" (without {counted(self.unpriced, 'interaction')} of unknown price)" if self.unpriced else ""
        if spent or lacking:
            yield f"what they would replace has taken: {spent or 'unknown'} tokens{price}{lacking}"
        if self.unsendable:
            looked_at = "" if self.again <= _SAMPLE else f" (of the first {_SAMPLE})"
            which = counted(len(self.unsendable), "row")
            yield f"cannot be sent{looked_at}: {which}, which would fail and lose the answer: {self.unsendable[0]}"
        if self.in_flight:
            yield (
                f"in flight: {counted(self.in_flight, 'row')} of these; what is under way is not fetched any more "
                "(`batchrun cancel` stops it first)"
            )

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "same": self.same,
            "new": self.new,
            "changed": self.again,
            "gone": self.gone,
            "waiting": self.waiting,
            "waiting_tokens": self.waiting_tokens,
            "waiting_cost_usd": float(self.waiting_cost),
            "fields": self.fields,
            "rows": self.shown,
            "unsendable": self.unsendable,
            "interactions": self._of_all(self.interactions),
            "estimated_input_tokens": self.estimated_tokens,
            "replaced_tokens": dict(self.spent),
            "replaced_cost_usd": float(self.cost),
        }


class Collector:
    """Hears of the rows to be asked anew, and adds them up in `changes`.

    `media` has the files of answers, `shown` gives what templates find in place of a row's data.
    """

    def __init__(
        self, job: Job, reader: Reader, media: Path, libraries: Libraries, shown: Shown = lambda _, data: dict(data)
    ) -> None:
        self._shown = shown
        self.changes = Changes(request_lines(job, reader))
        self._job, self._reader, self._media, self._libraries = job, reader, media, libraries
        self._prices: Prices | None = None

    def add(self, row: Anew) -> None:
        if not row.paid:
            self.changes.free += 1
            return
        self.changes.again += 1
        self.changes.in_flight += row.in_flight
        self.changes._show(_line(row))
        self._add_spent(row)
        if self.changes.estimated < _SAMPLE:
            self._estimate(row)

    def add_waiting(self, keys: set[str]) -> None:
        """Rows that follow from those to be asked anew: what their answers have taken is what they may take again."""
        self.changes.waiting = len(keys)
        self._prices = self._prices or load_prices()
        for attempt in self._reader.attempts() if keys else ():
            if attempt.live and attempt.key in keys:
                self.changes.waiting_tokens += counts_of(attempt.usage).get("total_tokens", 0)
                cost = cost_of(attempt, self._prices)
                self.changes.waiting_cost += cost.total if cost is not None else 0

    def _estimate(self, row: Anew) -> None:
        self.changes.estimated += 1
        known = self._reader.row(row.key)
        begun = so_far(known, self._reader).exchanges[: row.exchange] if known is not None else ()
        try:
            job = self._job if known is None else self._job.of(known.stage)
            data = self._shown(row.key, row.data)
            expected = forecast(job, data, self._libraries.of(job), begun, media=self._media)
        except RowError as error:
            self.changes.unsendable.append(f"row {row.key!r}: {error.kind}: {error}")
            return
        self.changes.tokens += expected.tokens
        self.changes.interactions += expected.least

    def _add_spent(self, row: Anew) -> None:
        for attempt in self._reader.attempts(row.key, raw=True):
            if attempt.live and attempt.exchange >= row.exchange:
                counts = counts_of(attempt.usage)
                self.changes.spent.update({kind: counts.get(f"total_{kind}_tokens", 0) for kind in _KINDS})
                self._add_cost(attempt)

    def _add_cost(self, attempt: AttemptRecord) -> None:
        self._prices = self._prices or load_prices()
        cost = cost_of(attempt, self._prices)
        if cost is None:
            self.changes.unpriced += 1
        else:
            self.changes.cost += cost.total


def _line(row: Anew) -> str:
    why = [f"its {', '.join(map(repr, row.columns))}"] if row.columns else []
    since = [f"from interaction {row.exchange + 1} of its conversation on"] if row.exchange else []
    about = "; ".join([*why, *since])
    return f"changed: row {row.key!r} ({row.source})" + (f": {about}" if about else "")


def request_lines(job: Job, reader: Reader) -> list[str]:
    """The fields of the job's request that differ from those of the run so far, with both values where known."""
    if reader.meta("request") == job.fingerprint:
        return []
    values, parts = reader.meta("request_values"), json.loads(reader.meta("request_parts") or "{}")
    place = "request." if job.graph is None else ""
    if values is None:
        names = [name for name in {**parts, **job.parts} if parts.get(name) != job.parts.get(name)]
        return [f"{place}{name} changed" for name in names] or ["the request changed"]
    told = differences(json.loads(values), json.loads(json.dumps(job.values)), place.rstrip("."))
    return [_CODE.sub(r"\1: the module of its transform was edited", line) for line in told]


#: Hashes tell people nothing.
_CODE = re.compile(r"^(stages\.\w+)\.code changed: .*$", re.DOTALL)
