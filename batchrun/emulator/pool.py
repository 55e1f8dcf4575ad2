"""Names to work on, a few at a time. It knows nothing of what the work is."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable


class Pool:
    """`work` gets a name and must not raise; at most `at_once` of them run. `waiting` are begun by the first `fill`."""

    def __init__(self, work: Callable[[str], Awaitable[None]], at_once: int, waiting: Iterable[str] = ()) -> None:
        self._work = work
        self._most = at_once
        self._waiting = deque(waiting)
        self._running: dict[str, asyncio.Future[None]] = {}
        self._ends = {name: asyncio.Event() for name in self._waiting}

    def add(self, name: str) -> None:
        self._ends[name] = asyncio.Event()
        self._waiting.append(name)
        self.fill()

    def fill(self) -> None:
        """Begin what there is room for. Needs a running event loop."""
        while self._waiting and len(self._running) < self._most:
            name = self._waiting.popleft()
            task = self._running[name] = asyncio.ensure_future(self._work(name))
            task.add_done_callback(lambda _, name=name: self._ended(name))  # type: ignore[misc]

    def active(self, name: str) -> bool:
        return name in self._ends

    async def end_of(self, name: str) -> None:
        """Return when the work on a name is over, at once if there is none."""
        if (end := self._ends.get(name)) is not None:
            await end.wait()

    def drop(self, name: str) -> None:
        """Stop the work on a name if it has begun; work that waits must see for itself that it is not wanted."""
        if (task := self._running.get(name)) is not None:
            task.cancel()

    def close(self) -> None:
        self._waiting.clear()
        for task in self._running.values():
            if not task.get_loop().is_closed():
                task.cancel()

    def _ended(self, name: str) -> None:
        del self._running[name]
        self._ends.pop(name).set()
        self.fill()
