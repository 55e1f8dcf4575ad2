"""The rows that are to be carried, in the order in which they begin: what follows from others first.

What has begun ends soon that way, and no more rows are open than fit in flight.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator

from batchrun.engine.attempt import Work
from batchrun.store.reader import Reader
from batchrun.store.records import RowRecord


class Supply:
    """Gives out each row once. `carried` are the ids of rows under way, `closed` the stages of which none begins.

    It remembers of what it gave out only what its rows on record may bring once more.
    """

    def __init__(self, work: Work, reader: Reader, carried: Collection[int], closed: Collection[str]) -> None:
        self._work, self._reader, self._carried, self._closed = work, reader, carried, closed
        self._followers: deque[int] = deque()
        self._rows: Iterator[RowRecord] = iter(())
        self._begun: set[int] = set()
        self._newest = reader.newest_row()

    def read(self, *, under_way: bool, limit: int | None) -> None:
        """Go on with the rows on record: those under way, or those not sent yet, with what follows from others."""
        self._rows = self._reader.pending(under_way=under_way, limit=limit)
        self._under_way = under_way

    def follow(self, rows: Iterable[int]) -> None:
        """Rows that can be carried now that what they need has ended, or that were put back, by their ids."""
        self._followers.extend(rows)

    def next(self) -> RowRecord | None:
        """The next row, None where there is none now."""
        while self._followers and not self._under_way:
            row = self._fresh(self._followers.popleft())
            if row is not None and row.stage not in self._closed:
                if row.id <= self._newest:
                    self._begun.add(row.id)
                return row
        for known in self._rows:
            if (row := self._standing(known)) is not None and row.stage not in self._closed:
                if self._under_way:
                    self._begun.add(row.id)
                return row
        return None

    def _standing(self, known: RowRecord) -> RowRecord | None:
        """A row on record as it is by now, if it is to begin: one that was made of others comes after them."""
        if known.id in self._begun or known.id > self._newest:
            return None
        if self._work.settled is None or not self._work.of(known).follows:
            return known
        row = self._fresh(known.id)
        return row if row is not None and self._work.settled(row) else None

    def _fresh(self, row_id: int) -> RowRecord | None:
        row = None if row_id in self._carried else self._reader.row_of(row_id)
        return row if row is not None and row.outcome is None else None
