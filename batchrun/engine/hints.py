"""What somebody says of interactions: a reason to look now, or where to look. Never a fact: polls tell those.

Without hints, with lost, late, repeated or wrong ones, every row ends as it would. They cost polls that would be made
anyway, at the polls' own pace; memory is bounded, and so is how often one interaction is looked at for them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection
from typing import TypeVar

V = TypeVar("V")

#: So many interactions that were told of are remembered: an event may come before the answer to the POST.
_REMEMBERED = 10_000
#: So many looks at one interaction, and ids for one POST, that hints can bring about.
_MOST_LOOKS = 3
#: A hint is prompt if it comes before the poll that finds the answer, or so many seconds after.
_PROMPT = 5.0
#: Hints are counted on once so many answers were found and this part of them was told of. Later answers count more.
_FEWEST, _MOST, _PART = 8, 64, 0.9


class Hints:
    """`listening` is true where hints may come at all."""

    def __init__(self) -> None:
        self.listening = False
        self._told: OrderedDict[str, int] = OrderedDict()
        self._unseen: OrderedDict[str, None] = OrderedDict()
        self._names: OrderedDict[str, list[str]] = OrderedDict()
        self._untold: OrderedDict[str, float] = OrderedDict()
        self._asleep: dict[str, asyncio.Future[None]] = {}
        self._answers = self._announced = 0

    def hear(self, interaction_id: str, intent_key: str = "") -> None:
        """Somebody says that an interaction has stopped, and (with an `intent_key`) that this POST has made it."""
        times = self._told.pop(interaction_id, 0) + 1
        _keep(self._told, interaction_id, times)
        self._count_late(interaction_id)
        if intent_key:
            self._name(intent_key, interaction_id)
        if times <= _MOST_LOOKS:
            _keep(self._unseen, interaction_id, None)
            self._wake(interaction_id)

    def _name(self, intent_key: str, interaction_id: str) -> None:
        ids = self._names.pop(intent_key, [])
        if interaction_id not in ids and len(ids) < _MOST_LOOKS:
            ids.append(interaction_id)
        _keep(self._names, intent_key, ids)
        self._wake(intent_key)

    async def until(self, interaction_id: str, seconds: float) -> None:
        """Sleep for so long, or until there is a reason to look at an interaction."""
        if interaction_id not in self._unseen:
            await self._sleep(interaction_id, seconds)
        self._unseen.pop(interaction_id, None)

    async def id_of(self, intent_key: str, tried: Collection[str], seconds: float) -> str | None:
        """An id that a POST may have made, other than those `tried`; None if nobody names one within `seconds`."""
        if (known := self._untried(intent_key, tried)) is None and self.listening:
            await self._sleep(intent_key, seconds)
            known = self._untried(intent_key, tried)
        return known

    def _untried(self, intent_key: str, tried: Collection[str]) -> str | None:
        return next((name for name in self._names.get(intent_key, ()) if name not in tried), None)

    def answered(self, interaction_id: str) -> None:
        """A poll has found an answer: hints are judged by whether they told of it, where they may come at all."""
        if not self.listening:
            return
        if self._answers >= _MOST:
            self._answers, self._announced = self._answers // 2, self._announced // 2
        self._answers += 1
        if interaction_id in self._told:
            self._announced += 1
        else:
            _keep(self._untold, interaction_id, asyncio.get_running_loop().time())

    def _count_late(self, interaction_id: str) -> None:
        found_at = self._untold.pop(interaction_id, None)
        if found_at is not None and asyncio.get_running_loop().time() <= found_at + _PROMPT:
            self._announced += 1

    @property
    def reliable(self) -> bool:
        """Whether hints have told of nearly every answer lately, so that polls need only make sure."""
        return self._answers >= _FEWEST and self._announced >= _PART * self._answers

    async def _sleep(self, name: str, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        self._asleep[name] = woken = loop.create_future()
        timer = loop.call_later(seconds, _end, woken)
        try:
            await woken
        finally:
            timer.cancel()
            if self._asleep.get(name) is woken:
                del self._asleep[name]

    def _wake(self, name: str) -> None:
        if (sleeper := self._asleep.get(name)) is not None:
            _end(sleeper)


def _end(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


def _keep(known: OrderedDict[str, V], name: str, value: V) -> None:
    """Keep the latest; the oldest goes where there are too many."""
    known[name] = value
    if len(known) > _REMEMBERED:
        known.popitem(last=False)
