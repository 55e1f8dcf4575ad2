"""What a seed has in store: a job, and the lives of its run with their faults, deaths and jumps of the clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random
from typing import Any

from batchrun.emulator.faults import FAULTS, Rule
from tests.reliability.clocks import Jump

_SCHEMA = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}
_REQUESTS: dict[str, dict[str, Any]] = {
    "single": {
        "model": "gemini-3.5-flash",
        "input": "Add {{ word }}",
        "response_format": {"schema": _SCHEMA},
    },
    "text": {"model": "gemini-3.5-flash", "input": "Add {{ word }}"},
    "turns": {"model": "gemini-3.5-flash", "turns": ["Add {{ word }}", "You said {{ answers[0] | length }}. Go on."]},
    "functions": {
        "model": "gemini-3.5-flash",
        "input": "Get the weather in {{ word }}, then get the time in {{ word }}.",
        "functions": ["tests.reliability.weather:get_weather", "tests.reliability.weather:get_time"],
    },
    "stateless": {"model": "gemini-3.5-flash", "input": "Add {{ word }}", "store": False},
    "stateless turns": {
        "model": "gemini-3.5-flash",
        "turns": ["Add {{ word }}", "Go on with {{ word }}"],
        "store": False,
    },
    "agent": {
        "agent": "antigravity-preview-05-2026",
        "environment": "remote",
        "input": "Write {{ word }}",
    },
    "plan": {"agent": "deep-research-preview-04-2026", "input": "Find {{ word }}", "approve": "auto"},
}
KINDS = tuple(_REQUESTS)
#: Bodies of hundreds of megabytes: what they do does not depend on the hour, so other proofs look at them.
_HUGE = frozenset({"giant_body", "gzip_bomb"})
_DAY, _HOUR = 86_400.0, 3_600.0
_PAUSES = (0.0, 5.0, 120.0, 9 * _HOUR, 3 * _DAY)


@dataclass(frozen=True, slots=True)
class Life:
    """One process's life: the faults it meets, how it ends and how long nothing happens before it.

    `dies_at` is a step of the event loop, `stops_at` the number of the event at which SIGINT or SIGTERM comes. Before
    it the input grows by `more` rows, and with `retried` the user has ended rows tried again.
    """

    faults: tuple[Rule, ...] = ()
    dies_at: int | None = None
    stops_at: int | None = None
    after: float = 0.0
    jumps: tuple[Jump, ...] = ()
    more: int = 0
    retried: bool = False


@dataclass(frozen=True, slots=True)
class Fate:
    """All that a seed decides. `emulator` are its settings that stay the same, `spec` is the job file."""

    seed: int
    kind: str
    rows: int
    spec: dict[str, Any]
    emulator: dict[str, Any]
    latency: str
    lives: tuple[Life, ...] = field(default=())


def fate_of(seed: int) -> Fate:
    """The same for the same seed, wherever it is asked."""
    random = Random(seed)
    kind = random.choice(KINDS)
    lives = tuple(life(random) for _ in range(random.randint(3, 5)))
    emulator = {
        "seed": random.randrange(1000),
        "rpm": random.choice((None, None, 6)),
        "retention": random.choice((55 * _DAY, 55 * _DAY, _DAY)),
    }
    latency = random.choice(("0ms", "3s", "uniform:1s,30s", "lognormal:20s,1.0"))
    return Fate(seed, kind, random.randint(1, 4), job_spec(random, kind), emulator, latency, lives)


def job_spec(random: Random, kind: str) -> dict[str, Any]:
    """A job file of this kind, with limits and policies drawn."""
    ambiguous = {
        "model": random.choice(("hold", "resubmit")),
        "agent": random.choice(("hold", "resubmit")),
        "max_resubmits": random.choice((None, 0, 2, 50)),
    }
    return {
        "name": "sim",
        "input": {"path": "rows.jsonl", "key": "id"},
        "request": _REQUESTS[kind],
        "limits": {
            "posts": random.randint(1, 3),
            "in_flight": random.randint(1, 5),
            "rpm": random.choice((None, None, 20)),
        },
        "retry": {"attempts": random.randint(1, 3), "calls": random.choice((2, 8)), "ambiguous": ambiguous},
        "poll": {"deadline": random.choice(("5m", "1h"))},
    }


def life(random: Random) -> Life:
    """Any faults, and any end or none."""
    end = random.choice(("dies", "dies", "stops", "lives"))
    return Life(
        faults=tuple(rule(random) for _ in range(random.randint(0, 3))),
        dies_at=round(math.exp(random.uniform(math.log(5), math.log(400)))) if end == "dies" else None,
        stops_at=random.randint(1, 12) if end == "stops" else None,
        after=random.choice(_PAUSES),
        jumps=tuple(jump(random) for _ in range(random.choice((0, 0, 1, 2)))),
        more=random.choice((0, 0, 1, 2)),
        retried=random.random() < 0.3,
    )


def rule(random: Random) -> Rule:
    """Any fault that the emulator knows, for some of the calls that it can be for."""
    kind = random.choice([name for name in FAULTS if name not in _HUGE])
    fault = FAULTS[kind]
    on = random.choice(("post", "get")) if fault.place in ("answer", "line", "created") else fault.on
    when: dict[str, Any] = random.choice(
        (
            {"rate": random.choice((0.2, 0.5, 1.0))},
            {"nth": frozenset(random.sample(range(1, 9), 2))},
            {"times": random.randint(1, 2)},
        )
    )
    seconds = None if fault.seconds is None else random.choice(_seconds(kind))
    return Rule(kind, on="cancel" if fault.on == "cancel" else on, seconds=seconds, **when)


def _seconds(kind: str) -> tuple[float, ...]:
    """How long a fault may last. No connection is open for longer than a client waits."""
    if kind in ("404_after_create", "403_after_create"):
        return (1.0, 45.0, 700.0, 90_000.0, math.inf)
    return (1.0, 45.0, 110.0) if FAULTS[kind].place in ("line", "created") else (1.0, 45.0, 700.0, 90_000.0)


def jump(random: Random) -> Jump:
    """A clock that is set by a day or by an hour, or eight hours of sleep; `at` counts from the life's start."""
    at = random.choice((0.0, 1.0, 20.0, 200.0))
    if random.random() < 0.3:
        return Jump(at, 8 * _HOUR, asleep=True)
    return Jump(at, random.choice((-_DAY, -_HOUR, -90.0, 90.0, _HOUR, _DAY)))
