"""Runs that die, are stopped and go on, in virtual time: all of a run's history follows from one integer.

    python -m tests.reliability.proofs.simulation SEED…

repeats seeds, and prints the history and every law that was broken.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.reliability.fates import Fate, Life, fate_of
from tests.reliability.figures import Figure
from tests.reliability.processors import on_all_processors
from tests.reliability.scratch import scratch
from tests.reliability.worlds import World

COMMAND = "python -m tests.reliability.proofs.simulation"
_HEALED_LIVES = 6
_CHUNK = 20


@dataclass(frozen=True, slots=True)
class History:
    """What came of a seed. `deaths` and `stops` are of processes, `days` of virtual time."""

    seed: int
    broken: tuple[str, ...]
    lives: int = 0
    deaths: int = 0
    stops: int = 0
    posts: int = 0
    doubts: int = 0
    days: float = 0.0


def prove(where: Path, *, full: bool) -> list[Figure]:
    """1,000 seeds, or 10,000 in full, on all processors."""
    return [figure(list(histories(range(10_000 if full else 1_000))))]


def figure(known: list[History]) -> Figure:
    """The figure of these seeds; the ones that broke a law are printed with the command that repeats them."""
    broken = [each for each in known if each.broken]
    for each in broken:
        print(f"{COMMAND} {each.seed}    # {each.broken[0]}", file=sys.stderr)
    return Figure(
        "deterministic simulation: seeds with a law broken",
        f"0 of {len(known):,}",
        f"{len(broken)} of {len(known):,}",
        not broken,
        f"{sum(h.lives for h in known):,} lives, {sum(h.deaths for h in known):,} deaths, "
        f"{sum(h.stops for h in known):,} signals, {sum(h.posts for h in known):,} POSTs, "
        f"{sum(h.doubts for h in known):,} of unknown fate, {sum(h.days for h in known):,.0f} virtual days",
    )


def histories(seeds: Iterable[int]) -> Iterator[History]:
    """What comes of each seed, on all processors."""
    return on_all_processors(history_of, seeds, _CHUNK)


def history_of(seed: int) -> History:
    """Live through a seed: its lives, and then healthy ones until every row has its end."""
    with scratch() as folder:
        return lived(World(Path(folder), fate_of(seed)))


def lived(world: World) -> History:
    """All lives of a world's fate, and healthy ones after them."""
    lives = deaths = stops = 0
    for number, life in enumerate(world.fate.lives):
        prepare(world, life if number else Life())
        lives, result = lives + 1, world.live(life)
        deaths += result is None
        stops += result is not None and result.exit_code >= 128
    while world.books().pending and lives < len(world.fate.lives) + _HEALED_LIVES and not world.broken:
        lives += 1
        world.live(Life(after=120.0))
    books = world.books()
    if books.pending and not world.broken:
        world.broken.append(f"{books.pending} rows are pending after {_HEALED_LIVES} healthy lives")
    return History(
        world.fate.seed,
        tuple(world.broken),
        lives,
        deaths,
        stops,
        posts=len(books.lines),
        doubts=sum(each.state == "ambiguous" for each in books.attempts),
        days=world.clocks.now / 86_400,
    )


def prepare(world: World, life: Life) -> None:
    """What the user does before a life."""
    world.grow(life.more)
    if life.retried:
        world.retry()


def told(fate: Fate, history: History) -> str:
    """A seed's fate and what came of it, for people."""
    lines = [f"seed {fate.seed}: {fate.kind}, {fate.rows} rows, {fate.spec['limits']}, {fate.spec['retry']}"]
    lines += [f"  {life}" for life in fate.lives]
    return "\n".join([*lines, f"  {history}", *(f"  BROKEN {line}" for line in history.broken)])


if __name__ == "__main__":
    repeated = [history_of(int(seed)) for seed in sys.argv[1:]]
    print("\n".join(told(fate_of(each.seed), each) for each in repeated))
    sys.exit(any(each.broken for each in repeated))
