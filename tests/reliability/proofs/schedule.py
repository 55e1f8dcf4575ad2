"""The daemon of scheduled jobs: a year of virtual time with deaths, outages and clock changes, and real kills.

    python -m tests.reliability.proofs.schedule SEED…

repeats years.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.daemon.real import Killed, lived
from tests.processes import emulator
from tests.reliability.figures import Figure
from tests.reliability.processors import on_all_processors
from tests.reliability.rounds import broken
from tests.reliability.scratch import scratch
from tests.reliability.years import DAY, Year

_YEARS_FULL, _KILLS_FULL, _KILLS_SHORT = 2, 40, 2
#: A seed, days after 2026-11-22, and how many: spring and autumn with their clock changes.
_SPANS_SHORT = ((1, 125.0, 8.0), (1, 341.0, 8.0))


@dataclass(frozen=True, slots=True)
class Account:
    """What came of a year."""

    seed: int
    broken: tuple[str, ...]
    slots: int
    lives: int
    deaths: int
    begun: int
    states: dict[str, int]


def accounts(spans: Iterable[tuple[int, float, float]]) -> Iterator[Account]:
    """What comes of seeds, each from a day after the epoch on for so many days, on all processors."""
    return on_all_processors(account, spans, 1)


def account(span: tuple[int, float, float]) -> Account:
    seed, start, days = span
    with scratch() as folder:
        year = Year(Path(folder), seed, start * DAY, days)
        year.live()
        slots = sum(len(year.post.record(rota.name)) for rota in year.rotas)
        begun = sum(each.what == "begin" for each in year.work.log)
        states = Counter(str(entry.state) for rota in year.rotas for entry in year.post.record(rota.name).values())
        return Account(seed, tuple(broken(year)), slots, len(year.stretches), year.deaths, begun, states)


def prove(where: Path, *, full: bool) -> list[Figure]:
    """Two years and forty kills, or some days about the clock changes and two kills."""
    spans = [(seed, 0.0, 366.0) for seed in range(_YEARS_FULL)] if full else _SPANS_SHORT
    found = list(accounts(spans))
    faults = [f"seed {each.seed}: {fault}" for each in found for fault in each.broken]
    return [
        Figure(
            "schedule run: slots of a year unaccounted for, begun twice, or against the policies",
            "0, with daemons killed between any two steps and clock changes in 7 zones",
            f"{len(faults)} of {sum(each.slots for each in found):,}",
            not faults,
            "; ".join(faults[:10]) or _told(found),
        ),
        killed(where, _KILLS_FULL if full else _KILLS_SHORT),
    ]


def _told(found: list[Account]) -> str:
    lives, deaths, begun = (sum(getattr(each, name) for each in found) for name in ("lives", "deaths", "begun"))
    states = sum((Counter(each.states) for each in found), Counter[str]())
    became = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in sorted(states.items()))
    return (
        f"{len(found)} seeds with 9 jobs each, every pair of `catch_up` and `overlap`; {lives:,} lives, {deaths:,} "
        f"kills, {begun:,} slots begun ({became}); the times expected are counted minute by minute"
    )


def killed(where: Path, kills: int) -> Figure:
    """A real daemon and its children."""
    with emulator(where, "--latency", "100ms") as url:
        faults = list(lived(Killed(where / "jobs", url), kills, seed=1))
    return Figure(
        "schedule run killed with -9: slots lost or begun twice, requests sent twice",
        f"0 with {_KILLS_FULL} kills",
        f"{len(faults)} with {kills} kills",
        not faults,
        "; ".join(faults[:10]) or "a slot every 1.2 s, on a clock that runs 100 times as fast",
    )


if __name__ == "__main__":
    for each in accounts((int(seed), 0.0, 366.0) for seed in sys.argv[1:]):
        print(each)
