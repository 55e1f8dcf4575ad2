"""Something done every so often, in a thread of its own, while a run goes on: it may neither stop nor hold that."""

from __future__ import annotations

import threading
from collections.abc import Callable

from batchrun.engine.events import Event, Observer

#: Who is told, in one line, what could not be written.
Complain = Callable[[str], None]

#: How long the end of a run waits for the last beat: a disk or a collector may hang.
_PATIENCE = 5.0


class Pulse:
    """Calls `beat` every `seconds`, and once more at the end, and then `end`. What they raise is told once."""

    def __init__(
        self,
        beat: Callable[[], None],
        seconds: float,
        what: str,
        complain: Complain,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        self._beat, self._seconds, self._what, self._complain, self._end = beat, seconds, what, complain, end
        self._told = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"batchrun {what}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Return when the last beat is done, or after some seconds."""
        self._over.set()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while not self._over.wait(self._seconds):
            self._try(self._beat)
        self._try(self._beat)
        self._try(self._end)

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            if not self._told:
                self._told = True
                reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
                self._complain(f"{self._what}: {reason}; the run goes on without it, and tries again")


def guarded(observe: Observer, what: str, complain: Complain) -> Observer:
    """The observer; an error of its own is told once, and then it is told nothing any more."""
    broken: list[Exception] = []

    def tell(event: Event) -> None:
        if broken:
            return
        try:
            observe(event)
        except Exception as error:
            broken.append(error)
            complain(f"{what}: {type(error).__name__}: {error}; the run goes on without it")

    return tell
