"""What a disk may hold after a power cut, rebuilt from the system calls that were seen until then.

A write is sure to be there once its file was synced after it, a name once its directory was. Until then each page of
4 KiB, and each name, may be as it was at any time since, whatever became of the others.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Protocol, TypeVar

_PAGE = 4096


class Loss(StrEnum):
    """What a power cut takes of that which was not synced."""

    NOTHING = "all kept"
    ALL = "all lost"
    SOME = "some lost"


@dataclass(frozen=True, slots=True)
class Cut:
    """A power cut right after the event number `at`."""

    at: int
    loss: Loss
    random: Random


class _Event(Protocol):
    """Something that is on the disk some time after it happened `at` a number; those of one `key` only in order."""

    @property
    def at(self) -> int: ...

    @property
    def key(self) -> Hashable: ...


E = TypeVar("E", bound=_Event)


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes within one page of a file; without `data`, its length is set to `offset`."""

    at: int
    offset: int
    data: bytes | None

    @property
    def key(self) -> Hashable:
        return None if self.data is None else self.offset // _PAGE


@dataclass(frozen=True, slots=True)
class Naming:
    """What a name in a directory stands for from now on."""

    at: int
    key: str
    thing: File | Directory | None


@dataclass(slots=True)
class File:
    """What was written, in order, and from when to when it was synced."""

    events: list[Write] = field(default_factory=list)
    syncs: list[tuple[int, int]] = field(default_factory=list)

    def write(self, at: int, offset: int, data: bytes) -> None:
        while data:
            size = _PAGE - offset % _PAGE
            self.events.append(Write(at, offset, data[:size]))
            offset, data = offset + size, data[size:]

    def cut_to(self, at: int, size: int) -> None:
        self.events.append(Write(at, size, None))

    def content(self, cut: Cut) -> bytes:
        held = bytearray()
        for write in _left(self.events, self.syncs, cut):
            if write.data is None:
                del held[write.offset :]
                held.extend(bytes(write.offset - len(held)))
            else:
                held.extend(bytes(max(0, write.offset - len(held))))
                held[write.offset : write.offset + len(write.data)] = write.data
        return bytes(held)


@dataclass(slots=True)
class Directory:
    """Which names came and went, in order, and from when to when they were synced."""

    events: list[Naming] = field(default_factory=list)
    syncs: list[tuple[int, int]] = field(default_factory=list)

    def name(self, at: int, name: str, thing: File | Directory | None) -> None:
        self.events.append(Naming(at, name, thing))

    def now(self, name: str) -> File | Directory | None:
        return next((event.thing for event in reversed(self.events) if event.key == name), None)

    def write_out(self, cut: Cut, where: Path) -> None:
        """What a power cut leaves of it, as files below `where`."""
        where.mkdir(parents=True, exist_ok=True)
        for name, thing in {event.key: event.thing for event in _left(self.events, self.syncs, cut)}.items():
            if isinstance(thing, Directory):
                thing.write_out(cut, where / name)
            elif thing is not None:
                (where / name).write_bytes(thing.content(cut))


def _left(events: Iterable[E], syncs: Iterable[tuple[int, int]], cut: Cut) -> Iterator[E]:
    """The events that a power cut leaves."""
    seen = [event for event in events if event.at <= cut.at]
    if cut.loss is Loss.NOTHING:
        return iter(seen)
    sure = max((began for began, ended in syncs if ended <= cut.at), default=-1)
    if cut.loss is Loss.ALL:
        return (event for event in seen if event.at <= sure)
    chances = dict[Hashable, list[int]]()
    for event in seen:
        if event.at > sure:
            chances.setdefault(event.key, [sure]).append(event.at)
    last = {key: cut.random.choice(times) for key, times in chances.items()}
    return (event for event in seen if event.at <= last.get(event.key, sure))
