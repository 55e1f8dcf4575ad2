"""The steersman of a run: what other processes wish of it is read beside its checkpoint, done, and answered there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from batchrun.engine.engine import Engine
from batchrun.engine.events import Observer, Steered
from batchrun.engine.quota import told
from batchrun.engine.steering import Steering
from batchrun.errors import RunError, StoreError
from batchrun.plurals import counted
from batchrun.runs.settings import checked
from batchrun.store.control import Answer, Control, Pause, Verb, Wish
from batchrun.store.lock import myself
from batchrun.store.reader import Reader

_ENDED = "the run had ended before it looked: nothing came of this"
_ENDING = "the run is ending by itself and sends nothing more"
#: The answers to what changes nothing. What was wished while nobody ran is known from the beginning.
_AS_IT_WAS: dict[str, Answer] = {
    Verb.PAUSE: Answer(True, "it was paused already"),
    Verb.RESUME: Answer(True, "it was not paused"),
}


class Steersman:
    """Steers an `engine` as is wished, which may be about the first `limit` rows only. `wall` gives Unix time."""

    def __init__(
        self,
        engine: Engine,
        steering: Steering,
        control: Control,
        reader: Reader,
        wall: Callable[[], float],
        observe: Observer,
        limit: int | None,
    ) -> None:
        self._engine, self._steering, self._control, self._reader = engine, steering, control, reader
        self._wall, self._observe, self._limit = wall, observe, limit
        self._pause: Pause | None = None
        self._heeding: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()
        self._deaf = False
        self._verbs: dict[str, Callable[[Wish], Awaitable[Answer]]] = {
            Verb.PAUSE: self._do_pause,
            Verb.RESUME: self._do_resume,
            Verb.SET: self._do_set,
            Verb.DRAIN: self._do_drain,
            Verb.DETACH: self._do_detach,
        }

    def begin(self, every: float | None) -> None:
        """Heed a pause that holds from before; then look every so many seconds (None: never) for what is wished.

        Raises StoreError if nobody can tell whether there is a pause: it must not be lost.
        """
        self._pause = self._control.pause()
        if self._pause is not None:
            self._steering.pause()
            self._observe(Steered(f"{paused_line(self._pause)}. What is in flight is polled", paused=True))
        if every is None:
            self._steering.deaf = True
        else:
            self._heeding = asyncio.create_task(self._heed(every))

    async def _heed(self, every: float) -> None:
        while True:
            if self._control.exists:
                async with self._looking:
                    await self._look()
            await asyncio.sleep(every)

    async def _look(self) -> None:
        """What cannot be read or answered stops no run: it is told once, and looked at again."""
        try:
            for wish in await asyncio.to_thread(self._control.unanswered, myself()):
                answer = await self._done(wish)
                await asyncio.to_thread(self._control.answer, wish.id, answer, self._wall())
            self._deaf = False
        except StoreError as error:
            if not self._deaf:
                self._tell(f"what is wished of this run cannot be heard: {error}")
            self._deaf = True

    async def _done(self, wish: Wish) -> Answer:
        do = self._verbs.get(wish.verb)
        try:
            answer = Answer(False, f"{wish.verb!r} is nothing that a run can do") if do is None else await do(wish)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # the next wish is to be heard too
            answer = Answer(False, f"batchrun itself failed over it: {type(error).__name__}: {error}")
        if answer != _AS_IT_WAS.get(wish.verb):
            limits = wish.settings if answer.done else {}
            self._tell(f"{wish.verb}, said by {wish.said_by}: {answer.text}", limits)
        return answer

    def _tell(self, text: str, limits: Mapping[str, Any] = MappingProxyType({})) -> None:
        self._observe(Steered(text, self._pause is not None, limits, self._steering.leaving))

    async def _do_pause(self, _wish: Wish) -> Answer:
        if self._pause is not None:
            return _AS_IT_WAS[Verb.PAUSE]
        if not await self._heed_pause():
            return Answer(True, "it was resumed since")
        return Answer(True, f"paused: {self._going_on()} and are polled")

    async def _do_resume(self, _wish: Wish) -> Answer:
        if self._pause is None:
            return _AS_IT_WAS[Verb.RESUME]
        if await self._heed_pause():
            return Answer(True, "it was paused again since")
        return Answer(True, f"resumed, but {_ENDING}" if self._engine.ends else f"resumed: {self._to_send()}")

    async def _heed_pause(self) -> bool:
        """Be paused, or not, as was said last: of what was said while nobody looked only that counts."""
        self._pause = await asyncio.to_thread(self._control.pause)
        if self._pause is None:
            self._steering.resume()
        else:
            self._steering.pause()
        return self._pause is not None

    async def _do_set(self, wish: Wish) -> Answer:
        try:
            settings = {name: checked(name, value) for name, value in wish.settings.items()}
            said = [f"{name} {await self._set(*setting)}" for name, setting in settings.items()]
        except ValueError as error:
            return Answer(False, str(error))
        return Answer(True, ", ".join(said))

    async def _set(self, stage: str, name: str, value: float | None) -> str:
        before = await self._engine.dials.set(stage, name, value)
        return f"is {_shown(value)} now, and was {_shown(before)}"

    async def _do_drain(self, _wish: Wish) -> Answer:
        if self._engine.ends:
            return Answer(False, _ENDING)
        self._engine.drain()
        return Answer(True, f"draining: {self._going_on()} to their end, and no further row begins")

    async def _do_detach(self, _wish: Wish) -> Answer:
        if self._engine.ends:
            return Answer(False, _ENDING)
        self._engine.detach()
        if self._steering.paused:
            return Answer(True, f"detaching: it is paused, so nothing more is sent; {self._left()}")
        room, pending = self._engine.places, self._reader.count_pending(self._limit)
        if pending <= room:
            return Answer(True, f"detaching: {self._to_send()} for a later run to collect")
        fit = f"of {counted(pending, 'row')} {room:,} fit in flight (limits.in_flight)"
        return Answer(True, f"detaching: {fit}: {pending - room:,} cannot be submitted")

    def _going_on(self) -> str:
        count = self._engine.open_posts
        posts = f", {counted(count, 'open POST')} may bring more," if count else ""
        return f"{self._reader.count_in_flight():,} in flight go on{posts}"

    def _to_send(self) -> str:
        return f"{counted(self._unsent(), 'row')} may be sent"

    def _unsent(self) -> int:
        return max(0, self._reader.count_pending(self._limit) - self._reader.count_in_flight())

    def _left(self) -> str:
        return f"{self._reader.count_in_flight():,} in flight at the service, {self._unsent():,} not sent"

    def end(self) -> RunError | None:
        """Why the run left rows, if it was told to."""
        if not self._reader.count_pending(self._limit):
            return None
        if self._pause is not None and self._unsent() and not self._steering.waits:
            return RunError(f"{paused_line(self._pause)}. {self._left()}.")
        if self._steering.detached:
            return RunError(f"Detached: {self._left()}. Run the same command to collect them, and to go on.")
        if self._steering.draining:
            return RunError(f"Drained: {self._left()}. Run the same command to go on.")
        return None

    async def aclose(self) -> None:
        """Finish the answer under way. Nobody listens any more: that is the answer to what else was said."""
        async with self._looking:
            if self._heeding is not None:
                self._heeding.cancel()
        try:
            await asyncio.to_thread(self._control.forget_unheard, _ENDED, self._wall())
        except StoreError as error:
            self._tell(str(error))


def pause_lines(control: Control) -> Iterator[str]:
    """What to tell people of a pause; nothing without one."""
    try:
        if (pause := control.pause()) is not None:
            yield paused_line(pause)
    except StoreError as error:
        yield f"whether it is paused cannot be told: {error}"


def paused_line(pause: Pause) -> str:
    """Since when and by whom a run is paused, and how that ends."""
    return f"Paused since {told(pause.since)}, by {pause.by}: nothing is sent until `batchrun resume`"


def _shown(value: float | None) -> str:
    return "without limit" if value is None else f"{value:g}"
