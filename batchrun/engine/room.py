"""Room in flight: how many rows may be under way at once, those included that nobody waits for any more."""

from __future__ import annotations

import asyncio


class Room:
    """So many places. A row gives its place back when it ends; one that is left under way keeps it."""

    def __init__(self, places: int) -> None:
        self._places, self._left = places, 0
        self._free = asyncio.Semaphore(places)

    async def take(self) -> bool:
        """Wait for a place. False if there will be none."""
        await self._free.acquire()
        if self._left < self._places:
            return True
        self._free.release()
        return False

    def give_back(self) -> None:
        """A row has ended."""
        self._free.release()

    def leave(self) -> None:
        """A row was left under way: its place is free in no life of this process."""
        self._left += 1
        if self._left >= self._places:
            self._free.release()  # who waits for a place is to learn that there is none
