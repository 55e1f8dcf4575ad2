"""Rows that ended without a usable answer, by class: how many, and the last one as an example. Pure."""

from __future__ import annotations

from dataclasses import dataclass

#: Of more classes, those that were met first are forgotten. Messages are cut: one row may carry a megabyte.
_MOST, LONGEST = 32, 500


@dataclass(frozen=True, slots=True)
class Trouble:
    """A class of errors, how many rows it has ended, and the last of them: its key, and what was said."""

    kind: str
    count: int
    key: str
    message: str


class Troubles:
    """Those of a run, the last ones first."""

    def __init__(self) -> None:
        self._known: dict[str, Trouble] = {}

    def add(self, kind: str, key: str, message: str) -> None:
        before = self._known.pop(kind, None)
        self._known[kind] = Trouble(kind, 1 + (before.count if before else 0), key, message[:LONGEST])
        if len(self._known) > _MOST:
            del self._known[next(iter(self._known))]

    @property
    def last(self) -> tuple[Trouble, ...]:
        return tuple(reversed(self._known.values()))
