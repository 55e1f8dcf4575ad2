"""What a person sees while a run goes on: one live line on a terminal, else plain lines with the time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from batchrun.cli.output import errors
from batchrun.cli.printing import shortened, tell
from batchrun.engine.events import (
    AlertFailed,
    Event,
    Expiring,
    Landed,
    Listening,
    Paused,
    PollFailed,
    Posted,
    RowEnded,
    Salvaged,
    Started,
    Stopping,
    UploadFailed,
)
from batchrun.errors import StoreError
from batchrun.glyphs import safe
from batchrun.rows import Outcome

_LIVE_SECONDS = 0.2
_PLAIN_SECONDS = 10.0
_SHOWN_FAILURES = 10
_COMPLAINT_SECONDS = 30.0


#: Rows that only the user can say how to go on with.
_HELD = (Outcome.AMBIGUOUS, Outcome.AWAITING_APPROVAL)


@dataclass
class Counts:
    """What has happened in this process; `rows` are those it set out to do, None where nobody knows how many."""

    rows: int | None = 0
    skipped: int = 0
    done: int = 0
    failed: int = 0
    held: int = 0
    in_flight: int = 0
    tokens: int = 0

    def take(self, event: Event) -> None:
        match event:
            case Started(rows, in_flight, more):
                self.rows, self.in_flight = None if more else rows, in_flight
            case Posted(result="submitted" | "fetched"):  # the answer to a POST that waits lands at once
                self.in_flight += 1
            case Salvaged():
                self.in_flight += 1
            case Landed(tokens=tokens):
                self.in_flight = max(0, self.in_flight - 1)  # what `recover` has brought back was not counted before
                self.tokens += tokens or 0
            case RowEnded(outcome=outcome):
                self.done += 1
                self.held += outcome in _HELD
                self.skipped += outcome is Outcome.SKIPPED
                self.failed += outcome not in (*_HELD, Outcome.SUCCEEDED, Outcome.SKIPPED)


def progress_line(counts: Counts, elapsed: float) -> str:
    """`12/40 done · 1 failed · 20 in flight · 3.1 rows/s · 12,345 tokens · 9s left`."""
    rate = counts.done / elapsed if elapsed > 0 else 0.0
    of_all = "" if counts.rows is None else f"/{counts.rows:,}"
    parts = [f"{counts.done:,}{of_all} done"]
    parts += [f"{counts.failed:,} failed"] if counts.failed else []
    parts += [f"{counts.skipped:,} skipped"] if counts.skipped else []
    parts += [f"{counts.held:,} wait for you"] if counts.held else []
    parts += [f"{counts.in_flight:,} in flight", f"{rate:,.1f} rows/s", f"{counts.tokens:,} tokens"]
    if counts.rows is not None and 0 < counts.done < counts.rows:
        parts.append(f"{duration((counts.rows - counts.done) / rate)} left")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """`42s`, `3m 10s`, `2h 05m`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02}m"


class Progress:
    """An observer that prints. `clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float], *, quiet: bool) -> None:
        self._counts = Counts()
        self._clock = clock
        self._quiet = quiet
        shown = errors()
        self._live = shown is not None and shown.isatty()
        self._started = self._shown_at = clock()
        self._failures = 0
        self._complained_at = float("-inf")

    def __call__(self, event: Event) -> None:
        self._counts.take(event)
        if self._quiet:
            return
        try:
            self._print(event)
        except (OSError, StoreError):  # nobody reads any more; the run goes on
            self._quiet = True

    def _print(self, event: Event) -> None:
        self._tell(event)
        if self._clock() - self._shown_at >= (_LIVE_SECONDS if self._live else _PLAIN_SECONDS):
            self._show()

    def close(self) -> None:
        """Leave the last state on the screen."""
        if not self._quiet and self._counts.rows != 0:
            with suppress(OSError, StoreError):
                self._show()
                if self._live:
                    tell("\n")

    def _tell(self, event: Event) -> None:
        match event:
            case RowEnded(key, outcome, kind, message) if outcome not in (Outcome.SUCCEEDED, Outcome.SKIPPED):
                self._failures += 1
                if self._failures <= _SHOWN_FAILURES:
                    why = "" if kind == outcome else f" ({kind})"
                    self._line(f"row {key}: {outcome}{why}: {message}")
                if self._failures == _SHOWN_FAILURES:
                    self._line("further rows that fail are counted, not shown; all are in results.parquet")
            case Paused(seconds, reason) if seconds >= 1:
                self._line(f"a pause of {duration(seconds)}, then one request to see: {reason}")
            case PollFailed(key, reason):
                self._complain(f"row {key}: its poll brought no answer and is made again: {reason}")
            case UploadFailed(file, seconds, reason):
                self._complain(f"{file!r} is not uploaded yet: {reason}; the next try is in {duration(seconds)}")
            case AlertFailed(reason):
                self._complain(f"an alert was not told: {reason}")
            case Listening(address):
                self._line(f"webhooks are heard at {address}")
            case Expiring(warning):
                self._line(warning)
            case Salvaged(key, interaction_id):
                self._line(
                    f"row {key}: its POST was in doubt, and has made {interaction_id}, which is found: nothing is lost"
                )
            case Stopping():
                self._line("stopping: waiting for open POSTs and functions under way; Ctrl-C now leaves at once")

    def _complain(self, text: str) -> None:
        """What many rows may meet at once is said now and then."""
        if self._clock() - self._complained_at >= _COMPLAINT_SECONDS:
            self._complained_at = self._clock()
            self._line(text)

    def _line(self, text: str) -> None:
        if self._live:
            tell("\r\x1b[K")
        tell(f"{self._time()}{safe(shortened(text, 400))}\n")

    def _show(self) -> None:
        self._shown_at = self._clock()
        line = progress_line(self._counts, self._shown_at - self._started)
        if self._live:
            width = shutil.get_terminal_size().columns
            tell(f"\r\x1b[K{shortened(line, width - 1)}")
        else:
            tell(f"{self._time()}{line}\n")

    def _time(self) -> str:
        return "" if self._live else datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ ")
