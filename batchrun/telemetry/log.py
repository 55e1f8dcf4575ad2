"""The log of a run: an observer that notes events, and a thread that writes them each second."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, Protocol

from batchrun.engine.events import Ended, Event, Started
from batchrun.errors import BatchrunError
from batchrun.telemetry.pulse import Complain, Pulse
from batchrun.telemetry.records import (
    Fields,
    Level,
    Record,
    document,
    failure,
    is_beneath,
    json_line,
    lost,
    record_of,
    text_line,
)

Form = Literal["json", "text"]

_SECONDS = 1.0
#: Events that wait for a disk that hangs; more are counted, and lost to the log.
_MOST_WAITING = 200_000
#: Lines that are written at once: the size of the file is looked at in between.
_AT_ONCE = 1000
_LINES: Mapping[Form, Callable[[Fields], str]] = {"json": json_line, "text": text_line}


class Sink(Protocol):
    """Where lines go. Its methods may raise OSError."""

    def write(self, text: str, /) -> object: ...

    def close(self) -> None: ...


class Log:
    """Observes a run of `job`. `wall` gives Unix time. Close it: that closes the sink."""

    def __init__(
        self, sink: Sink, job: str, wall: Callable[[], float], complain: Complain,
        level: Level = Level.INFO, form: Form = "json", name: str = "the log",
    ) -> None:  # fmt: skip
        self._sink, self._job, self._wall, self._level, self._line = sink, job, wall, level, _LINES[form]
        self._run = ""
        self._waiting: deque[tuple[float, Event | Record]] = deque()
        self._lost = 0
        self._pulse = Pulse(self._flush, _SECONDS, name, complain, sink.close)

    def __call__(self, event: Event) -> None:
        if is_beneath(self._level, event):
            return
        if isinstance(event, Started):
            self._run = event.run_id
        elif isinstance(event, Ended):
            self._run = event.summary.run_id
        self._note(event)

    def fail(self, error: BatchrunError) -> None:
        """An error ends the process."""
        self._note(failure(error))

    def close(self) -> None:
        """Write what is left."""
        self._pulse.close()

    def _note(self, told: Event | Record) -> None:
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append((self._wall(), told))
        else:
            self._lost += 1

    def _flush(self) -> None:
        lines = list(self._lines())
        for start in range(0, len(lines), _AT_ONCE):
            try:
                self._sink.write("".join(lines[start : start + _AT_ONCE]))
            except Exception:
                self._lost += len(lines) - start
                raise
        if self._lost:
            self._sink.write(self._line(document(lost(self._lost), self._wall(), self._job, self._run)))
            self._lost = 0

    def _lines(self) -> Iterator[str]:
        """What waits, as lines. Only this thread takes from it."""
        for _ in range(len(self._waiting)):
            at, told = self._waiting.popleft()
            record = told if isinstance(told, Record) else record_of(told)
            if record.level >= self._level:
                yield self._line(document(record, at, self._job, self._run))
