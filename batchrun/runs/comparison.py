"""Whether a row would be asked today what it was asked: its requests rendered anew, beside those on record.

What counts is the hash of each request, `request_sha`; fingerprints of the job and the input only tell when there is
nothing to compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

#: What templates find in place of a row's data, by its key.
Shown = Callable[[str, Mapping[str, Any]], dict[str, Any]]


class Comparison:
    """Compares a job, or a stage of one, with what `reader` tells of its run so far. `media` is where the files of
    answers are.

    `new_request` is true where the job file asks otherwise than it did; what a row is asked may be the same all the
    same. `shown` gives what the templates of the row with a key find in place of its data.
    """

    def __init__(
        self,
        job: Job,
        reader: Reader,
        media: Path,
        library: Library,
        new_request: bool | None = None,
        shown: Shown = lambda _, data: dict(data),
    ) -> None:
        changed = reader.meta("request") != job.fingerprint
        self.new_request = changed if new_request is None else new_request
        self._shown = shown
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
            bodies = self._bodies(row.key, data)
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
        return draft == next_request(self._bodies(row.key, row.data), exchanges, ask)

    def _bodies(self, key: str, data: Mapping[str, Any]) -> Bodies:
        shown = self._shown(key, data)
        return Bodies(self._job, shown, script_of(self._job, shown), self._media)
