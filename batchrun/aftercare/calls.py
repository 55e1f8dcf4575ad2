"""Calls about what the service has of a run: few at once, at the job's pace for polls, none to a silent service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from batchrun.engine.limits import Lease, Limits
from batchrun.engine.pace import Pace
from batchrun.errors import CredentialError, RefusedError
from batchrun.interactions.evidence import Call, Reply, is_passing, server_delay
from batchrun.interactions.models import ApiError
from batchrun.spec.model import JobSpec

T = TypeVar("T")

#: Waits before each round of calls, in seconds: what did not come about in one is looked at again in the next.
PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0)
#: So many calls in a row without an answer that says anything, and the service is taken to be away.
_MOST_SILENT = 50


class Calls:
    """Makes calls, all of which may be repeated. `wall` gives Unix time, for Retry-After dates."""

    def __init__(self, spec: JobSpec, wall: Callable[[], float]) -> None:
        self._spec, self._wall = spec, wall
        self._pace = Pace(Limits(spec.poll.rpm))
        self._silent = 0

    async def make(self, call: Callable[[], Awaitable[Call]]) -> Call:
        """The answer. Raises CredentialError if the key is not accepted, RefusedError if nothing is answered at all."""
        lease = await self._pace.start()
        answer = await call()
        self._note(answer, lease)
        return answer

    def _note(self, answer: Call, lease: Lease) -> None:
        if is_passing(answer):
            lease.give_back()
            self._slow_down(answer)
        else:
            lease.accepted()
            self._silent = 0
        if isinstance(answer, Reply) and not answer.ok and _is_denied(answer):
            raise CredentialError(f"The service does not accept the API key: {told(answer)}.")

    def _slow_down(self, answer: Call) -> None:
        self._silent += 1
        if self._silent >= _MOST_SILENT:
            raise RefusedError(f"The service gives no answer: {told(answer)}. Use the same command again later.")
        if isinstance(answer, Reply):
            asked = server_delay(answer, ApiError.parse(answer.body), self._wall())
            self._pace.pause(min(asked or 0.0, self._spec.retry.server_ceiling))


def told(answer: Call) -> str:
    """What came of a call, in a few words."""
    if not isinstance(answer, Reply):
        return answer.reason
    error = ApiError.parse(answer.body)
    return f"HTTP {answer.status}" + (f" {error.code}: {error.message.rstrip('.')}" if error else "")


async def for_each(items: Iterable[T], step: Callable[[T], Awaitable[None]], at_once: int) -> None:
    """Do `step` with every item, `at_once` at a time. The first error stops the others and is raised."""
    left = iter(items)

    async def work() -> None:
        for item in left:
            await step(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _is_denied(answer: Reply) -> bool:
    error = ApiError.parse(answer.body)
    return answer.status == 401 or (error is not None and error.about_key)
