"""Networks that fail, over real sockets: the client of a run, a proxy that spoils exchanges, the emulator's server.

    python -m tests.reliability.proofs.network SEED KIND…

repeats a seed of kinds, and prints what was wrong. Time runs a hundred times as fast, or a timeout would take minutes.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import uvicorn
from uvicorn.server import ServerState

from batchrun.emulator import Emulator, EmulatorSettings
from batchrun.emulator.faults import FAULTS, Rule
from batchrun.emulator.serve import ClosableProtocol
from batchrun.runs.options import Options
from batchrun.store.records import AttemptState
from tests.reliability.books import Books, key_of
from tests.reliability.fast_time import FastTime
from tests.reliability.fates import Fate, Life
from tests.reliability.figures import Figure
from tests.reliability.lines import Proxy
from tests.reliability.scratch import scratch
from tests.reliability.ways import KINDS
from tests.reliability.worlds import World

_SEEDS_FULL = 25
#: For each processor: a run waits most of the time.
_WORKERS = 3
_LIVES = 5
_ROWS = 6
_MOST_RESUBMITS = 1_000
#: So often one row is sent again in doubt, and then held.
_MOST_OF_A_ROW = 3
_FREE = (AttemptState.NOT_SENT, AttemptState.REFUSED)
_HUGE = frozenset({"giant_body", "gzip_bomb"})
#: What the emulator itself does to calls and connections. How interactions end is no matter of the network, but for
#: those that are not found for a while.
SERVED = tuple(
    name
    for name, fault in FAULTS.items()
    if (fault.place != "outcome" or name.endswith("_after_create")) and fault.on == "post" and name not in _HUGE
)
ALL = (*KINDS, *SERVED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a seed of a kind. `struck` counts the exchanges that were spoilt."""

    kind: str
    seed: int
    policy: str
    broken: tuple[str, ...]
    posts: int = 0
    struck: int = 0
    again: int = 0
    twice: int = 0


class Wired(World):
    """A world whose runner talks to its service over sockets, through this proxy or one with a fault of `kind`."""

    def __init__(
        self, where: Path, seed: int, kind: str, policy: str, proxy: Proxy | None = None, *, stored: bool | None = None
    ) -> None:
        random = Random(f"{seed} {kind}")
        super().__init__(
            where, Fate(seed, kind, _ROWS, _spec(random, policy, stored), {}, "uniform:1s,20s"), FastTime(self._served)
        )
        found = KINDS.get(kind)
        polled = self.job.spec.request.store
        self.proxy = proxy or Proxy(
            found and found.way,
            random.choice([on for on in found.on if polled or on != "GET"]) if found else "POST",
            random,
            rate=random.choice((0.3, 1.0)),
            most=random.randint(1, 5),
            deaf=random.choice((5.0, 60.0)) if kind == "deaf" else 0.0,
        )
        self.mixed = found is not None and found.mixes
        self._settings = EmulatorSettings()

    def options(self, life: Life) -> Options:
        self._settings = self.service(life)
        return Options(self.directory.path, f"http://127.0.0.1:{self.proxy.port}", seed=self.fate.seed)

    @asynccontextmanager
    async def _served(self) -> AsyncIterator[None]:
        with closing(Emulator(self._settings)) as emulator:
            async with _server(emulator) as port, self.proxy.passing(port):
                yield


@asynccontextmanager
async def _server(emulator: Emulator) -> AsyncIterator[int]:
    """The emulator on a free port, as `batchrun emulator serve` has it."""
    config, state = uvicorn.Config(emulator.app, http=ClosableProtocol, lifespan="off", log_config=None), ServerState()
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ClosableProtocol(config, state, {}), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0.1)  # those that wait for the rest of a request notice
        for task in state.tasks:
            task.cancel()


def _spec(random: Random, policy: str, stored: bool | None) -> dict[str, Any]:
    ambiguous = {"model": policy, "max_resubmits": _MOST_RESUBMITS}
    return {
        "name": "wired",
        "input": {"path": "rows.jsonl", "key": "id"},
        "request": {
            "model": "gemini-3.5-flash",
            "input": "Add {{ word }}",
            "store": random.choice((True, True, False)) if stored is None else stored,
        },
        "limits": {"posts": random.randint(1, 3), "in_flight": 6},
        "poll": {"deadline": "5m", "rpm": None},
        "retry": {"ambiguous": ambiguous},
    }


def outcome_of(kind: str, seed: int, policy: str) -> Outcome:
    """Live through a kind of fault: a life in which it strikes, and others until every row has its end."""
    with scratch() as folder:
        world = Wired(Path(folder), seed, kind, policy)
        with closing(world.proxy):
            return _lived(world, kind, seed, policy)


def _lived(world: Wired, kind: str, seed: int, policy: str) -> Outcome:
    world.live(Life(_rules(kind, seed)))
    lives = 1
    while world.books().pending and lives < _LIVES and not world.broken:
        world.live(Life())
        lives += 1
    books = world.books()
    broken = [*world.broken, *_wrong(books, policy, mixed=world.mixed)]
    again = [each for each in books.attempts if books.superseded_by.get(each.id) == "policy"]
    struck = world.proxy.struck + sum(bool(line["fault"]) for line in books.lines)
    accepted = Counter(key_of(line) for line in books.lines if line["id"])
    twice = sum(accepted.values()) - len({each.key for each in books.attempts if accepted[each.intent_key]})
    return Outcome(kind, seed, policy, tuple(broken), len(books.lines), struck, len(again), twice)


def _rules(kind: str, seed: int) -> tuple[Rule, ...]:
    if kind in KINDS:
        return ()
    random = Random(seed)
    on = "get" if FAULTS[kind].place in ("answer", "line") and random.random() < 0.3 else "post"
    when = random.choice(({"rate": 0.3}, {"nth": frozenset(random.sample(range(1, 9), 3))}, {"times": 2}))
    return (Rule(kind, on=on, seconds=None if FAULTS[kind].seconds is None else random.choice((1.0, 40.0)), **when),)


def _wrong(books: Books, policy: str, *, mixed: bool) -> Iterator[str]:
    """What the laws do not say: that every row has an end, that nothing paid for is out of sight, and the counts."""
    again = [each for each in books.attempts if books.superseded_by.get(each.id) == "policy"]
    poisonous = {key for key, times in Counter(each.key for each in again).items() if times >= _MOST_OF_A_ROW}
    for row in books.rows:
        held = row.outcome == "ambiguous" and (policy == "hold" or mixed or row.key in poisonous)
        if row.outcome != "succeeded" and not held:
            yield f"{row.key} is lost: {row.outcome} ({row.error_class}: {row.error_message})"
    accepted = {key_of(line): line["id"] for line in books.lines if line["id"]}
    sent = Counter(each.key for each in books.attempts if each.state not in _FREE)
    for each in books.attempts:
        name, unsure = accepted.get(each.intent_key), each.state is AttemptState.AMBIGUOUS or mixed
        answered = each.raw is not None and not each.interaction_id  # one that is not stored may come without an id
        if name and not unsure and not answered and each.interaction_id != name:
            yield f"{each.key}: {name} was paid for and is lost ({each.state})"
    if sum(sent.values()) - len(sent) != len(again) or (policy == "hold" and again):
        yield f"{sum(sent.values())} attempts for {len(sent)} rows, and {len(again)} on record as sent again"
    decided = {each.id for each in again}
    for each in books.attempts:
        if each.intent_key in accepted and each.id in books.superseded_by and each.id not in decided:
            yield f"{each.key}: {accepted[each.intent_key]} was paid for, and sent again without a decision on record"


def prove(where: Path, *, full: bool) -> list[Figure]:
    """Every kind with 25 seeds in full, with one in short."""
    tried = [(kind, seed) for kind in ALL for seed in range(_SEEDS_FULL if full else 1)]
    workers = _WORKERS * (os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, get_context("spawn"), pa.set_cpu_count, (1,)) as pool:
        return figures(list(pool.map(in_turn, tried)))


def in_turn(tried: tuple[str, int]) -> Outcome:
    """What comes of a kind and a seed; the policy changes from one to the next."""
    kind, seed = tried
    return outcome_of(kind, seed, ("hold", "resubmit")[(ALL.index(kind) + seed) % 2])


def figures(known: Sequence[Outcome]) -> list[Figure]:
    """One for each policy; the seeds that broke a law are printed with the command that repeats them."""
    for each in known:
        if each.broken:
            command = f"python -m tests.reliability.proofs.network {each.seed} {each.kind!r}"
            print(f"{command}    # {each.policy}: {each.broken[0]}", file=sys.stderr)
    return [_figure(known, "hold"), _figure(known, "resubmit")]


def _figure(known: Sequence[Outcome], policy: str) -> Figure:
    made = [each for each in known if each.policy == policy]
    broken = [each for each in made if each.broken]
    kinds = len({each.kind for each in made})
    paid = "duplicate POSTs 0" if policy == "hold" else "duplicate POSTs as recorded"
    struck, exchanges = sum(each.struck > 0 for each in made), sum(each.struck for each in made)
    again, taken = sum(each.again for each in made), sum(each.twice for each in made)
    return Figure(
        f"network faults under `{policy}`: runs with a row lost or a POST unaccounted for",
        f"0 ({kinds} kinds; rows lost 0, {paid})",
        f"{len(broken)} of {len(made):,}",
        not broken and (policy != "hold" or not taken),
        "; ".join(f"{each.kind} {each.seed}: {each.broken[0]}" for each in broken[:10])
        or f"{exchanges:,} exchanges spoilt in {struck:,} of the runs, {sum(each.posts for each in made):,} POSTs "
        f"arrived, {again:,} were sent again in doubt, all on record, of which {taken:,} had been taken",
    )


if __name__ == "__main__":
    for name in sys.argv[2:]:
        for way in ("hold", "resubmit"):
            print(outcome_of(name, int(sys.argv[1]), way))
