"""The live view of `run`: an observer that counts, and a thread of its own that draws.

The run waits for neither the drawing nor the terminal: one that hangs, or is gone, holds up nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from threading import Event as Flag
from threading import Thread

from batchrun.cli.prints import Prints, prints_captured
from batchrun.cli.progress import TELLING, Messages, tell_at
from batchrun.cli.screen import Screen
from batchrun.engine.events import Event, Started, Telling
from batchrun.views.meter import Meter
from batchrun.views.refresh import Refresh

_SECONDS = 0.2
#: How long the end waits for a terminal that takes nothing.
_PATIENCE = 2.0


class Live:
    """`refresh` brings what events do not tell up to date, at its own pace. `clock` gives seconds."""

    def __init__(
        self,
        meter: Meter,
        screen: Screen,
        clock: Callable[[], float],
        refresh: Refresh,
    ) -> None:
        self._meter, self._screen, self._clock, self._refresh = meter, screen, clock, refresh
        self._messages = Messages(clock)
        self._said: deque[str] = deque()
        self._over = Flag()
        self._thread: Thread | None = None
        self._captured = ExitStack()
        self._prints: Prints | None = None

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        """The last picture stays on the screen."""
        self._captured.close()
        if self._thread is not None:
            self._over.set()
            self._thread.join(_PATIENCE)

    def __call__(self, event: Event) -> None:
        self._meter(event)
        if (message := self._messages.of(event)) is not None:
            self._said.append(message)
        if isinstance(event, Started):
            self._begin()
        elif isinstance(event, Telling) and self._thread is None:  # nothing was to be sent, so nothing is drawn
            tell_at(self._clock(), TELLING)

    def _begin(self) -> None:
        self._prints = self._captured.enter_context(prints_captured())
        self._thread = Thread(target=self._draw_all, name="live view", daemon=True)
        self._thread.start()

    def _draw_all(self) -> None:
        while not self._over.is_set():
            self._draw(self._prints.lines() if self._prints else [])
            self._listen()
        self._draw(self._prints.end() if self._prints else [])
        self._screen.leave()

    def _draw(self, printed: list[str]) -> None:
        self._refresh(last=self._over.is_set())
        said = [self._said.popleft() for _ in range(len(self._said))]
        view = self._meter.view()
        if self._over.is_set():
            view = replace(view, notices=())  # they are about what goes on, and why it stopped is said next
        self._screen.draw(view, [*said, *printed])

    def _listen(self) -> None:
        """Wait for the next picture, and take in what is printed meanwhile, so that nobody waits for a full pipe."""
        until = self._clock() + _SECONDS
        while not self._over.is_set() and 0 < (left := until - self._clock()) <= _SECONDS:
            if self._prints is None:
                self._over.wait(left)
            else:
                self._prints.wait(left)
