"""A job that is to be ticked by something else: all that its files say, as one value. Pure."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from batchrun.errors import SpecError

#: In minutes.
HOUR, DAY = 60, 24 * 60


@dataclass(frozen=True)
class Ticking:
    """Paths are absolute, as they are where the tick runs. No field holds the key.

    `program` is what stands before `tick`: empty where an image starts it. `writes` are the directories that a tick
    writes into. `every` is in minutes.
    """

    name: str
    job: str
    every: int
    arguments: tuple[str, ...]
    key_file: str
    state: str
    program: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    log: str = ""
    user: str = ""
    group: str = ""

    @property
    def folder(self) -> str:
        """The directory that the tick works in: the job file's."""
        return posixpath.dirname(self.job)

    @property
    def command(self) -> tuple[str, ...]:
        return (*self.program, "tick", self.job, "--quiet", *self.arguments)


def minutes_of(seconds: float) -> int:
    """The minutes between two ticks. Raises ValueError unless they divide an hour or a day: cron can say no others."""
    minutes = round(seconds / 60)
    if minutes * 60 == seconds > 0 and (HOUR % minutes == 0 or (minutes % HOUR == 0 and DAY % minutes == 0)):
        return minutes
    raise ValueError("write minutes that divide an hour, or hours that divide a day: 1m, 5m, 15m, 1h, 6h")


def cron_expression(every: int) -> str:
    """Five fields for a tick every so many minutes, by `minutes_of`."""
    if every < HOUR:
        return f"{_step(every)} * * * *"
    return f"0 {_step(every // HOUR)} * * *" if every < DAY else "0 0 * * *"


def _step(count: int) -> str:
    return "*" if count == 1 else f"*/{count}"


def refuse(texts: Iterable[str], forbidden: str, where: str) -> None:
    """Raises SpecError for a text that `where` cannot say: with one of these characters, or with what nobody sees."""
    for text in texts:
        bad = next((char for char in text if char in forbidden or unicodedata.category(char) in _UNSEEN), None)
        if bad is not None or text != text.strip():
            what = repr(bad) if bad is not None else "a space at its end or beginning"
            raise SpecError(f"{text!r}: {where} cannot hold {what}. Nothing was written; use another path or value.")


#: Control characters, line separators, and halves of characters that are no UTF-8.
_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
