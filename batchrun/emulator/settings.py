"""What an emulator can be told."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from batchrun.emulator.faults import Rule
from batchrun.emulator.files.limits import FILE_LIMITS, FileLimits
from batchrun.emulator.latency import NO_LATENCY, Latency
from batchrun.emulator.quota import Limits
from batchrun.emulator.replies.modes import Replies, synthetic
from batchrun.emulator.rules.history import Trust
from batchrun.emulator.tiers import tier_limits


def wall_clock() -> float:
    """Unix seconds: the one place where the emulator reads a clock of its own."""
    return time.time()  # noqa: TID251  the default of a setting; tests pass their own clock


@dataclass(frozen=True, slots=True)
class EmulatorSettings:
    """Everything that shapes an emulator. Same settings, same requests: same answers, latencies and faults.

    `rpm`, `tpm` (input tokens) and `ipm` (images) hold for each model in any 60 seconds, `rpd` until midnight Pacific,
    `in_flight` for background interactions of all models; None means no limit. `tier` (free, 1, 2 or 3) gives limits
    to models where none of these is set. `ledger` is a JSONL file that is appended to.
    `state` is a SQLite file that a later emulator can go on with; None keeps interactions in a private temporary
    file. `clock` returns Unix seconds. `replies` says where the content of answers comes from: see `load_replies`.
    Every non-empty API key is accepted except those in `bad_keys`.
    `files` bounds the Files API. Interactions are gone `retention` seconds after their creation: 55 days, as for a paid
    project; a free one has a day. A foreground model call stops with requires_continuation after `decode_limit` tokens.
    `foreign_signatures` takes histories whose thoughts another server has signed; else they are refused.
    """

    seed: int = 0
    latency: Latency = NO_LATENCY
    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None
    ipm: int | None = None
    in_flight: int | None = None
    tier: str | None = None
    faults: tuple[Rule, ...] = ()
    ledger: Path | None = None
    state: Path | None = None
    clock: Callable[[], float] = wall_clock
    replies: Replies = synthetic
    bad_keys: frozenset[str] = frozenset()
    files: FileLimits = FILE_LIMITS
    retention: float = 55 * 86400.0
    decode_limit: int | None = None
    foreign_signatures: bool = False

    @property
    def trust(self) -> Trust:
        """What histories are believed. What a script has recorded elsewhere may come back with its signatures."""
        recorded = getattr(self.replies, "recorded", False)
        return Trust(foreign=self.foreign_signatures or recorded, unsigned=self.replies is not synthetic)

    @property
    def limited(self) -> bool:
        """Whether there is any rate limit. Raises SpecError for a bad tier."""
        return not self.limits_of("").none or self.in_flight is not None or self.tier is not None

    def limits_of(self, model: str) -> Limits:
        """The rate limits of a model: what is set here, else what the tier says. Raises SpecError for a bad tier."""
        base = Limits() if self.tier is None else tier_limits(self.tier, model)
        own = {"rpm": self.rpm, "tpm": self.tpm, "rpd": self.rpd, "ipm": self.ipm}
        return replace(base, **{name: value for name, value in own.items() if value is not None})
