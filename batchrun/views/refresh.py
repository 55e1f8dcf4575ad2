"""What events do not tell a `Meter`, read from the checkpoint now and then: rows that follow from others, and money."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from batchrun.errors import BatchrunError
from batchrun.runs.directory import RunDir
from batchrun.store.charges import charged_usd
from batchrun.store.damage import explained
from batchrun.store.reader import Reader
from batchrun.views.look import standings
from batchrun.views.meter import Meter

_SECONDS = 1.0
#: No more of the time than this is spent on looks, however large the run is.
SHARE = 0.1


class Refresh:
    """Looks when it is called, but not too often. `clock` gives seconds."""

    def __init__(self, directory: RunDir, meter: Meter, clock: Callable[[], float]) -> None:
        self._directory, self._meter, self._clock = directory, meter, clock
        self._next_at = float("-inf")

    def __call__(self, *, last: bool = False) -> None:
        begun = self._clock()
        if not self._meter.wants_more or (begun < self._next_at and not last):
            return
        with suppress(BatchrunError):  # the next look may do better; the run itself says what is wrong
            self._look()
        self._next_at = self._clock() + max(_SECONDS, (self._clock() - begun) / SHARE)

    def _look(self) -> None:
        path = self._directory.checkpoint
        with explained(path), Reader(path) as reader, reader.snapshot():
            self._meter.tell(standings(reader), charged_usd(reader))
