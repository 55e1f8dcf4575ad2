"""Whether a row would be asked today what it was asked: its requests rendered anew, beside those on record.

What counts is the hash of each request, `request_sha`; fingerprints of the job and the input only tell when there is
nothing to compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batchrun.engine.bodies import Bodies
from batchrun.engine.conversation import Ask, Exchange, RunFunctions, SendResults, SendTurn, follow
from batchrun.engine.file_bodies import without_files
from batchrun.engine.request import next_request, script_of
from batchrun.engine.talk import exchange_of
from batchrun.errors import RowError
from batchrun.inputs.media import Library
from batchrun.spec.load import Job
from batchrun.store.reader import Reader
from batchrun.store.records import AttemptRecord, AttemptState, RowRecord


class Comparison:
    """Compares a job with what `reader` tells of its run so far. `media` is where the files of answers are."""

    def __init__(self, job: Job, reader: Reader, media: Path, library: Library) -> None:
        self.new_request = reader.meta("request") != job.request.fingerprint
        """Whether the job file asks otherwise than it did. What a row is asked may be the same all the same."""
        self._job, self._reader, self._media, self._library = job, reader, media, library

    def first_changed(self, key: str, data: dict[str, Any]) -> int | None:
        """The number of the first exchange that would be asked otherwise of `data`; None if all are the same."""
        row = self._reader.row(key)
        if row is None or row.attempt is None or row.attempt.superseded_at is not None:
            return None
        asked = self._asked(row, row.attempt)
        changed = self._first_changed(row, asked, data)
        if changed and self._job.spec.request.store and any(each.purged_at is not None for each in asked[:changed]):
            return 0  # nothing can follow what the service has no more
        return changed

    def _asked(self, row: RowRecord, last: AttemptRecord) -> tuple[AttemptRecord, ...]:
        """The row's conversation, also where a recovered checkpoint does not have all of its answers."""
        return tuple(self._reader.live(row.id)) if len(row.earlier) < last.exchange else (*row.earlier, last)

    def _first_changed(self, row: RowRecord, asked: Sequence[AttemptRecord], data: dict[str, Any]) -> int | None:
        exchanges: list[Exchange] = []
        try:
            bodies = Bodies(self._job, data, script_of(self._job, data), self._media)
            for number, attempt in enumerate(asked):
                ask = follow(exchanges, bodies.script)
                if ask is None or isinstance(ask, RunFunctions) or not self._asks(row, bodies, exchanges, ask, attempt):
                    return number
                if attempt.state is not AttemptState.FETCHED or attempt.interaction_status is None:
                    return None  # what follows an answer that is not here cannot be known
                exchanges.append(exchange_of(attempt, self._reader))
            goes_on = isinstance(follow(exchanges, bodies.script), SendTurn)
        except RowError:  # what could be asked then cannot be asked now
            return len(exchanges)
        return len(asked) if goes_on and row.outcome is not None else None

    def _asks(
        self, row: RowRecord, bodies: Bodies, exchanges: Sequence[Exchange], ask: Ask, attempt: AttemptRecord
    ) -> bool:
        """Whether the request is the one that an attempt sent; so it is where the results in it are known no more."""
        if isinstance(ask, SendResults) and not ask.results:
            return True  # only the ledger knew the attempt; the functions ran for what is compared before it
        draft = next_request(bodies, exchanges, ask)
        request = without_files(self._job, draft, self._library, hashed=True)
        if request.sha or self.new_request or row.data is None:
            return request.sha == attempt.request_sha
        # With parts that are yet to be fetched it has no name. Then what is fetched has to be the same.
        before = Bodies(self._job, row.data, script_of(self._job, row.data), self._media)
        return draft == next_request(before, exchanges, ask)
