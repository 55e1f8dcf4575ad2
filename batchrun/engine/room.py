"""Room in flight: how many rows may be under way at once, those included that nobody waits for any more."""

from __future__ import annotations

import asyncio


class Room:
    """So many places. A row gives its place back when it ends; one that is left under way keeps it."""

    def __init__(self, places: int) -> None:
        self._places, self._taken, self._left = places, 0, 0
        self._news = asyncio.Event()

    @property
    def places(self) -> int:
        return self._places

    @property
    def over(self) -> int:
        """How many more are taken than there are."""
        return max(0, self._taken - self._places)

    def resize(self, places: int) -> None:
        """Have so many places from now on. If more are taken, nobody gets one until enough were given back."""
        self._places = places
        self._news.set()

    async def take(self) -> bool:
        """Wait for a place; one waits at a time. False if there will be none."""
        while self._taken >= self._places:
            if self._left >= self._places:
                return False
            self._news.clear()
            await self._news.wait()
        self._taken += 1
        return True

    def give_back(self) -> None:
        """A row has ended."""
        self._taken -= 1
        self._news.set()

    def leave(self) -> None:
        """A row was left under way: its place is free in no life of this process."""
        self._left += 1
        self._news.set()
