"""What a run says while it goes on where no live view is drawn: plain lines with the time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from batchrun.cli.printing import shortened, tell
from batchrun.cli.wording import progress_line
from batchrun.engine.events import (
    AlertFailed,
    Event,
    Expiring,
    Listening,
    Paused,
    PollFailed,
    RowEnded,
    Salvaged,
    Steered,
    Stopping,
    Telling,
    UploadFailed,
    WebhooksCame,
)
from batchrun.errors import StoreError
from batchrun.glyphs import safe
from batchrun.plurals import counted, duration, stamp
from batchrun.views.meter import Meter
from batchrun.views.view import GOOD, State, View

PLAIN_SECONDS = 10.0
TELLING = "telling alerts: the run is done, and a target that does not answer is tried three times"
_SHOWN_FAILURES = 10
_COMPLAINT_SECONDS = 30.0


class Messages:
    """What is to be said of events besides the counts. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._complained_at = float("-inf")
        self._untold: set[str] = set()

    def of(self, event: Event) -> str | None:
        match event:
            case PollFailed(key, reason):
                return self._complaint(f"row {key}: its poll brought no answer and is made again: {reason}")
            case UploadFailed(file, seconds, reason):
                later = f"the next try is in {duration(seconds)}"
                return self._complaint(f"{file!r} is not uploaded yet: {reason}; {later}")
            case AlertFailed(reason):
                return self._alarm(f"an alert was not told: {reason}")
            case Listening(address):
                return f"webhooks are heard at {address}"
            case WebhooksCame(0, 0, 1):
                return "a webhook was refused: not signed with the secret of this run, or not of these minutes"
            case WebhooksCame(events, repeated, refused) if events or refused > 1:
                return f"webhooks: {counted(events, 'event')}, {repeated:,} that came again, {refused:,} refused"
            case Expiring(warning):
                return warning
            case Salvaged(key, interaction_id):
                made = f"its POST was in doubt, and has made {interaction_id}, which is found"
                return f"row {key}: {made}: nothing is lost"
            case Steered(text):
                return text
            case Stopping():
                return "stopping: waiting for open POSTs and functions under way; Ctrl-C now leaves at once"
        return None

    def _alarm(self, text: str) -> str | None:
        """Said once: the same target may be tried again each minute, and no complaint about rows may hide it."""
        if text in self._untold:
            return None
        self._untold.add(text)
        return text

    def _complaint(self, text: str) -> str | None:
        """What many rows may meet at once is said now and then."""
        if self._clock() - self._complained_at < _COMPLAINT_SECONDS:
            return None
        self._complained_at = self._clock()
        return text


class Progress:
    """An observer that prints; with `quiet` only that somebody could not be told, with `mute` nothing.

    `clock` gives Unix seconds.
    """

    def __init__(self, meter: Meter, clock: Callable[[], float], *, quiet: bool, mute: bool = False) -> None:
        self._meter, self._clock, self._quiet, self._mute = meter, clock, quiet or mute, mute
        self._messages = Messages(clock)
        self._shown_at = clock()
        self._failures = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        """Say how it stands at the end."""
        if self._meter.begun and not self._quiet:
            with suppress(OSError, StoreError):
                self._show()

    def __call__(self, event: Event) -> None:
        if self._mute or (self._quiet and not isinstance(event, AlertFailed)):
            return
        self._meter(event)
        try:
            self._print(event)
        except (OSError, StoreError):  # nobody reads any more; the run goes on
            self._quiet = self._mute = True

    def _print(self, event: Event) -> None:
        if (message := self._message(event)) is not None:
            tell_at(self._clock(), message)
        if not self._quiet and self._clock() - self._shown_at >= PLAIN_SECONDS:
            self._show_unless_ended()

    def _message(self, event: Event) -> str | None:
        match event:
            case RowEnded(key, outcome, kind, message) if outcome not in GOOD:
                return self._failure(f"row {key}: {outcome}{'' if kind == outcome else f' ({kind})'}: {message}")
            case Paused(seconds, reason) if seconds >= 1:
                return f"a pause of {duration(seconds)}, then one request to see: {reason}"
            case Telling():
                return TELLING
        return self._messages.of(event)

    def _failure(self, text: str) -> str | None:
        self._failures += 1
        if self._failures == _SHOWN_FAILURES + 1:
            return "further rows that fail are counted, not shown; all are in results.parquet"
        return text if self._failures <= _SHOWN_FAILURES else None

    def _show_unless_ended(self) -> None:
        """That it has ended is said once, at the very end."""
        if self._meter.view().state is not State.ENDED:
            self._show()

    def _show(self) -> None:
        self._shown_at = self._clock()
        show_plain(self._meter.view(), self._shown_at)


def show_plain(view: View, at: float) -> None:
    """How a run stands, in a line."""
    tell_at(at, progress_line(view))


def tell_at(at: float, text: str) -> None:
    """A line with the time (Unix seconds)."""
    tell(f"{stamp(at)} {safe(shortened(text, 400))}\n")


class Plain:
    """Shows views as lines, as far apart as those of a run, and at once where the state is another."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._shown_at = float("-inf")
        self._state: State | None = None

    def __call__(self, view: View) -> None:
        if view.state is self._state and self._clock() - self._shown_at < PLAIN_SECONDS:
            return
        self._state, self._shown_at = view.state, self._clock()
        show_plain(view, self._shown_at)
