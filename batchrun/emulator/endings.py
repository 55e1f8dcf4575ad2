"""Who waits for the end of an interaction: a cancel ends the streams that are open."""

from __future__ import annotations

import asyncio


class Endings:
    """Wakes those who wait for an interaction that ends before its time."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[asyncio.Event]] = {}

    async def within(self, name: str, seconds: float) -> bool:
        """Wait so long, or until `tell` is called with this name; True if it was."""
        event = asyncio.Event()
        self._waiting.setdefault(name, []).append(event)
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return False
        finally:
            self._leave(name, event)
        return True

    def tell(self, name: str) -> None:
        for event in self._waiting.get(name, ()):
            event.set()

    def _leave(self, name: str, event: asyncio.Event) -> None:
        self._waiting[name].remove(event)
        if not self._waiting[name]:
            del self._waiting[name]
