"""A create that streams: what the model says is told at once, and the answer comes back as from a foreground create.

The service ends streams after 600 s and networks end them before; `interaction.completed` alone proves that all has
come. A stored interaction is then fetched by its id, which costs nothing; one with `store: false` is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterator, Mapping
from contextlib import aclosing, suppress
from typing import Any

from batchrun.interactions.assembly import Assembly, said
from batchrun.interactions.bodies import Body
from batchrun.interactions.client import BROKEN, Client, fate_of
from batchrun.interactions.evidence import Call, Lost, Reply
from batchrun.interactions.models import ApiError, Interaction, as_json, parse_json
from batchrun.interactions.pieces import Piece, Stopped, Waiting, unseen
from batchrun.interactions.secret import Secret
from batchrun.interactions.sse import Event, EventReader

_SSE = "text/event-stream"


class StreamingClient(Client):
    """A client whose `create` streams: `tell` gets each piece as it comes, in order.

    `silence` is how many seconds a stream may be silent where the answer could be fetched instead, `longest_silence`
    where only the stream can tell it. `deadline` is how many seconds an answer is looked for after a stream was cut.
    """

    def __init__(
        self,
        api_key: str | Secret,
        *,
        tell: Callable[[Piece], None],
        silence: float = 90.0,
        longest_silence: float = 600.0,
        deadline: float = 900.0,
        **options: Any,
    ) -> None:
        super().__init__(api_key, **options)
        self._tell = tell
        self._silence, self._longest_silence, self._deadline = silence, longest_silence, deadline
        self._leaving = False
        self._limits: set[asyncio.Timeout] = set()

    def leave(self) -> None:
        """Listen no more: a create whose interaction has an id comes back as in progress, as soon as it has one."""
        self._leaving = True
        for limit in self._limits:
            limit.reschedule(asyncio.get_running_loop().time())

    async def create(self, body: bytes | Body, timeout: float | None = None) -> Call:
        """POST one interaction, once, and hear it to its end. The Reply is a whole answer, however it came.

        Silence bounds a stream, so there is no other `timeout`.
        After a cut that nothing made good by the deadline it is the interaction as it was last known, in progress.
        """
        stored, body = _streamed(bytes(body))
        heard = Assembly()
        call = self._keyless(await self._listen(body, heard, stored))
        name = heard.interaction_id
        if isinstance(call, Lost) and name and not stored:
            said_so = f"the stream was cut ({call.reason}); with store: false its answer cannot be fetched"
            return Lost(said_so, call.answered)
        if isinstance(call, Lost) and name:
            call = _unfinished(name) if self._leaving else await self._fetch(name, heard, call.reason)
        elif isinstance(call, Reply) and name and stored and heard.lacking:
            call = await self._look(name) or call
        self._tell_rest(call, heard)
        return call

    async def _listen(self, body: bytes, heard: Assembly, stored: bool) -> Call:
        """The answer to the POST; Lost if it did not come to its end."""
        try:
            async with asyncio.timeout(self._longest_silence) as limit:
                response = await self._open(body)
                async with aclosing(response):
                    chunks = response.stream
                    assert isinstance(chunks, AsyncIterable)
                    if response.status_code != 200 or not response.headers.get("content-type", "").startswith(_SSE):
                        content = b"".join([chunk async for chunk in chunks])
                        return Reply(response.status_code, content, response.headers)
                    cut = await self._hear(chunks, heard, stored, limit)
                    return Lost(cut) if cut else self._assembled(heard, response.headers)
        except TimeoutError:
            return Lost("nothing more came for too long")
        except BROKEN as error:
            return fate_of(error)
        finally:
            self._limits.discard(limit)

    async def _hear(
        self, chunks: AsyncIterable[bytes], heard: Assembly, stored: bool, limit: asyncio.Timeout
    ) -> str | None:
        """Take events in until the last one, then None; else why it did not come."""
        reader, loop = EventReader(), asyncio.get_running_loop()
        async for chunk in chunks:
            self._take(reader.feed(chunk), heard)
            if heard.completed or heard.failure:
                return None if heard.completed else heard.failure
            elsewhere = stored and heard.interaction_id
            if elsewhere and self._leaving:
                return "nobody listens any more"
            if elsewhere:
                self._limits.add(limit)
            limit.reschedule(loop.time() + (self._silence if elsewhere else self._longest_silence))
        self._take(reader.end(), heard)
        error = ApiError.parse(self._key.out_of(reader.stray))
        if heard.completed:
            return None
        return said(error) if error else heard.complaint or "it ended before its last event"

    def _take(self, events: list[Event], heard: Assembly) -> None:
        for event in events:
            if heard.completed or heard.failure:
                return
            for piece in heard.take(Event(event.name, self._key.out_of(event.data), event.id)):
                self._tell(piece)

    def _assembled(self, heard: Assembly, headers: Mapping[str, str]) -> Reply | Lost:
        try:
            return Reply(200, as_json(heard.whole()), headers)
        except RecursionError:
            return Lost("its answer is nested too deep")

    async def _fetch(self, name: str, heard: Assembly, reason: str) -> Reply:
        """The answer of an interaction whose stream was cut; after the deadline, what is known of it."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._deadline
        self._tell(Waiting(f"the stream was cut: {reason}"))
        for pause in _pauses():
            if found := await self._look(name):
                return found
            if self._leaving or loop.time() + pause > until:
                break
            await self._pause(pause)
        return _unfinished(name)

    async def _pause(self, seconds: float) -> None:
        """Sleep, unless nobody listens any more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(None) as limit:
                self._limits.add(limit)
                await asyncio.sleep(seconds)
        self._limits.discard(limit)

    async def _look(self, name: str) -> Reply | None:
        """The interaction, if it has ended and the service shows it."""
        call = await self.get(name)
        if not isinstance(call, Reply):
            self._tell(Waiting(call.reason))
            return None
        found = Interaction.parse(call.body) if call.ok else None
        if found is None or found.id != name or not found.stopped:
            self._tell(Waiting(_shown(call, found)))
            return None
        return _as_of_create(call, found)

    def _tell_rest(self, call: Call, heard: Assembly) -> None:
        """What of an answer has not been told piece by piece."""
        answer = Interaction.parse(call.body) if isinstance(call, Reply) and call.ok else None
        if answer is None:
            return
        for piece in unseen(heard.told, answer.steps):
            self._tell(piece)
        if answer.stopped or heard.completed:
            self._tell(Stopped(answer.status, answer.usage))


def _streamed(body: bytes) -> tuple[bool, bytes]:
    """Whether the interaction will be stored, and the request that asks for a stream."""
    asked = parse_json(body)
    if not isinstance(asked, dict) or not asked or "stream" in asked:
        return not isinstance(asked, dict) or asked.get("store") is not False, body
    return asked.get("store") is not False, b'{"stream":true,' + body.lstrip()[1:]  # spliced: what is replayed stays


def _as_of_create(reply: Reply, found: Interaction) -> Reply:
    """A GET shows the inputs too, a create only what the model made."""
    steps = [step for step in found.steps if step.get("type") != "user_input"]
    if len(steps) == len(found.steps):
        return reply
    return Reply(reply.status, as_json({**found.data, "steps": steps}), reply.headers)


def _shown(call: Reply, found: Interaction | None) -> str:
    if found is not None:
        return f"the interaction is {found.status or 'without a status'}"
    error = ApiError.parse(call.body)
    return f"HTTP {call.status}" + (f" {said(error)}" if error else "")


def _pauses() -> Iterator[float]:
    """Seconds between looks."""
    pause = 1.0
    while True:
        yield pause
        pause = min(pause * 2, 30.0)


def _unfinished(name: str) -> Reply:
    """What is known of an interaction that nobody heard to its end."""
    return Reply(200, as_json({"id": name, "status": "in_progress"}))
