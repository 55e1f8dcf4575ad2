"""One daemon for a directory of jobs, and how others see that it lives. Imports little: Docker asks twice a minute."""

from __future__ import annotations

import json
import os
from pathlib import Path

from batchrun.errors import LockedError
from batchrun.store.lock import RunLock, running

#: Without a sign of life for so many seconds a daemon counts as stuck.
STUCK = 120.0


def place_of(directory: Path) -> Path:
    """Where the daemon of the jobs in a directory keeps its lock and its heartbeat."""
    return directory / "runs" / ".daemon"


class Hold:
    """The only daemon of the jobs in a directory, until `close` or its death.

    Raises LockedError if there is another, StoreError if nobody can tell. `place_of(directory)` has to exist.
    """

    def __init__(self, directory: Path) -> None:
        self._place = place_of(directory)
        try:
            self._lock = RunLock(self._place)
        except LockedError:
            raise LockedError(
                f"{directory}: {running(self._place) or 'another process'} runs the jobs in this directory already. "
                "Stop that one first; for other jobs, use another directory."
            ) from None

    def beat(self, now: float) -> None:
        """Leave a sign of life. Raises OSError."""
        new = self._place / "heartbeat.new"
        new.write_text(json.dumps({"pid": os.getpid(), "at": now}))
        new.replace(self._place / "heartbeat.json")

    def close(self) -> None:
        self._lock.close()


def trouble(directory: Path, now: float) -> str | None:
    """What is wrong with the daemon of a directory; None for one that lives and goes on."""
    place = place_of(directory)
    holder = running(place)
    if holder is None:
        return f"{directory}: no daemon runs; start it with `batchrun schedule run {directory}`"
    try:
        at = float(json.loads((place / "heartbeat.json").read_bytes())["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"{directory}: {holder} has not said yet that it lives"
    if abs(now - at) > STUCK:
        return f"{directory}: {holder} has been stuck for {abs(now - at):,.0f} s"
    return None
