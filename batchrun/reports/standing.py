"""Where the rows of an input stand in the run so far, and what of their conversations is still to be sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batchrun.engine.conversation import UNREADABLE, Again, Exchange, after
from batchrun.engine.media import Libraries
from batchrun.engine.request import script_of
from batchrun.engine.talk import so_far
from batchrun.errors import RowError
from batchrun.rows import Finish, InputRow
from batchrun.runs.changes import Changes, Collector
from batchrun.runs.comparison import Comparison
from batchrun.spec.load import Job
from batchrun.store.amendment import Anew, edited
from batchrun.store.reader import Reader
from batchrun.store.tally import tally_of


class Known:
    """A run so far, asked about the rows of the input as `run` would ask it; `media` has its answers' files."""

    def __init__(self, job: Job, reader: Reader, media: Path, libraries: Libraries) -> None:
        self.media = media
        self._comparison = Comparison(job, reader, media, libraries.of(job))
        self._collector = Collector(job, reader, media, libraries)
        self._job, self._reader = job, reader
        self._counts: Counter[str] = Counter()
        self._met: set[str] = set()

    def standing(self, row: InputRow) -> str:
        """Where the row stands: new, pending, in flight, in doubt, to hold, changed, or its outcome."""
        known = self._reader.standing(row.key)
        if known is None or row.data is None:
            self._counts["new"] += 1
            return "new"
        outcome, sha, state, sent = known
        if sent:
            self._met.add(row.key)
        if not sent and sha != row.sha:
            self._counts["new"] += 1
            return "new"
        if not sent and self._comparison.new_request:
            outcome = None  # another request may well be one that can be sent
        if (sha != row.sha or self._comparison.new_request) and sent and self._differs(row, row.data, state):
            return "pending" if state is None else "changed"
        self._counts["same"] += 1
        return outcome or self.open_standing(row.key, row.data, state)

    def begun(self, key: str, data: dict[str, Any]) -> Sequence[Exchange] | None:
        """What the row's next request comes after; None if nothing more is to be sent. Raises RowError."""
        row = self._reader.row(key)
        if row is None:
            return ()
        talk, spec = so_far(row, self._reader), self._job.spec
        left = spec.retry.attempts - 1 - talk.strikes
        try:
            decision = after(talk.exchanges, script_of(self._job, data), None, attempts_left=left)
        except UNREADABLE:  # it ends the row
            return None
        match decision:
            case Finish():
                return None
            case Again():
                talk.thrown_away()
        return () if talk.at_purged and spec.request.store else talk.exchanges

    def allowance(self, rows: int) -> int:
        """How many POSTs in doubt a run of so many rows may still send again."""
        tally = tally_of(self._reader)
        return max(0, self._job.spec.retry.ambiguous.allowance(max(rows, tally.rows)) - tally.resubmits)

    def changes(self, *, complete: bool) -> Changes:
        """What was found; rows that were sent and not met again are gone, if the input was read to its end."""
        changes = self._collector.changes
        changes.same, changes.new = self._counts["same"], self._counts["new"]
        changes.limited = not complete
        for key, source in self._reader.sent() if complete else ():
            if key not in self._met:
                changes.add_gone(key, source)
        return changes

    def open_standing(self, key: str, data: dict[str, Any], state: str | None) -> str:
        """Where a row without an outcome stands, by the state of its last attempt."""
        try:
            match state:
                case "submitted":
                    return "in flight"
                case "fetched":
                    return "in flight" if self.begun(key, data) is None else "pending"
                case "intent" | "ambiguous":
                    return "in doubt" if self._resubmits(data) else "to hold"
        except RowError:  # the job has changed since: rendering the row tells what is wrong
            pass
        return "pending"

    def _resubmits(self, data: dict[str, Any]) -> bool:
        policy = self._job.spec.retry.ambiguous
        wish = policy.agent if "agent" in self._job.request.plain_fields(data) else policy.model
        return wish == "resubmit"

    def _differs(self, row: InputRow, data: dict[str, Any], state: str | None) -> bool:
        exchange = self._comparison.first_changed(row.key, data)
        if exchange is None:
            return False
        before = self._reader.row(row.key)
        columns = edited(before.data or {}, data) if before else ()
        paid, in_flight = state is not None, state == "submitted"
        self._collector.add(Anew(row.key, row.source, data, exchange, columns, paid, in_flight))
        return True
