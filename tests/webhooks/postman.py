"""A door by which an emulator's messages come in on virtual time: whole, lost, twice, late or forged."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from typing import Any

from batchrun.emulator.hooks.keys import key_of
from batchrun.emulator.hooks.outbox import Message, Outbox
from batchrun.emulator.hooks.signing import token
from batchrun.engine.events import Observer, ignore
from batchrun.runs.hearing import Webhooks
from batchrun.runs.options import Options
from batchrun.runs.run import Result, run
from batchrun.spec.load import load_job
from batchrun.webhooks.receiver import Receiver
from tests.rehearsal import Rehearsal
from tests.webhooks.test_signatures import OLD, secrets

URI = "http://127.0.0.1:9/hook"


def once(message: Message) -> list[float]:
    return [0.0]


@dataclass
class Postman:
    """Delivers what is due. `when` gives the seconds after which each copy of a message goes out: none, one or more.

    If it is `static` messages are signed with the project's secret and say nothing of the POST. `altered` is put in the
    place of a body, `also` is called on each round. `answers` are the statuses that came back.
    """

    job: Rehearsal
    when: Callable[[Message], list[float]] = once
    static: bool = False
    altered: bytes | None = None
    also: Callable[[Receiver], None] | None = None
    answers: list[int] = field(default_factory=list)

    @asynccontextmanager
    async def __call__(self, receiver: Receiver) -> AsyncIterator[str]:
        self._on_their_way: set[asyncio.Task[None]] = set()
        with closing(sqlite3.connect(self.job.where / "emulator.db", isolation_level=None)) as connection:
            rounds = asyncio.create_task(self._rounds(receiver, Outbox(connection)))
            try:
                yield URI
            finally:
                rounds.cancel()
                for each in self._on_their_way:
                    each.cancel()
                await asyncio.gather(rounds, *self._on_their_way, return_exceptions=True)

    async def _rounds(self, receiver: Receiver, outbox: Outbox) -> None:
        while True:
            for message in outbox.due(self.job.clock.wall()):
                outbox.settle(message, "delivered")
                for seconds in self.when(message):
                    task = asyncio.create_task(self._deliver(receiver, message, seconds))
                    self._on_their_way.add(task)
                    task.add_done_callback(self._on_their_way.discard)
            if self.also is not None:
                self.also(receiver)
            await asyncio.sleep(1.0)

    async def _deliver(self, receiver: Receiver, message: Message, seconds: float) -> None:
        await asyncio.sleep(seconds)
        now, body = int(self.job.clock.wall()), message.body()
        if self.static:
            body = json.dumps({**json.loads(body), "data": {"id": message.about}}).encode()
            signature = secrets(OLD).sign(message.id, now, body)
        else:
            signature = token(key_of(0), message.uri, message.id, now, body)
        headers = {"webhook-id": message.id, "webhook-timestamp": str(now), "webhook-signature": signature}
        self.answers.append(await receiver.take(headers, self.altered or body))


def hear(job: Rehearsal, postman: Postman | None = None, observe: Observer = ignore, **emulator: Any) -> Result:
    """Run a job that hears what a postman brings."""
    webhooks = Webhooks(postman or Postman(job), secrets(OLD), URI)
    settings = job.settings(**emulator)
    return run(
        load_job(job.write()),
        Options(emulator=settings, seed=1, webhooks=webhooks),
        job.clock.wall,
        observe,
        run_async=job.clock.run,
    )
