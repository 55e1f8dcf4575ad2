"""What an emulator can be told."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from batchrun.emulator.faults import Rule
from batchrun.emulator.latency import NO_LATENCY, Latency


def wall_clock() -> float:
    """Unix seconds: the one place where the emulator reads a clock of its own."""
    return time.time()  # noqa: TID251  the default of a setting; tests pass their own clock


@dataclass(frozen=True, slots=True)
class EmulatorSettings:
    """Everything that shapes an emulator. Same settings, same requests: same answers, latencies and faults.

    `rpm` is enforced over any 60 seconds; None means no limit. `ledger` is a JSONL file that is appended to.
    `state` is a SQLite file that a later emulator can go on with; None keeps interactions in a private temporary
    file. `clock` returns Unix seconds. Every non-empty API key is accepted except those in `bad_keys`.
    """

    seed: int = 0
    latency: Latency = NO_LATENCY
    rpm: int | None = None
    faults: tuple[Rule, ...] = ()
    ledger: Path | None = None
    state: Path | None = None
    clock: Callable[[], float] = wall_clock
    bad_keys: frozenset[str] = frozenset()
