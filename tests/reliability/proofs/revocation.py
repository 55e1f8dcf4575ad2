"""A key that the service stops accepting in the midst of a run: how much is sent after that, and what is lost by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from batchrun.errors import Exit
from batchrun.runs.run import Result
from tests.rehearsal import Rehearsal
from tests.reliability.clocks import Clocks, Endless
from tests.reliability.figures import Figure
from tests.reliability.scratch import scratch

SLOTS = (1, 4, 16)
_SEEDS_FULL, _SEEDS_SHORT = 100, 5
_ROWS = 40
_SAY = {"model": "gemini-3.5-flash", "input": "Answer: {{ question }}"}
_REQUESTS: tuple[dict[str, Any], ...] = (
    _SAY,
    {**_SAY, "store": False},
    {"model": "gemini-3.5-flash", "turns": ["Answer: {{ question }}", "Are you sure?"]},
    {"agent": "antigravity-preview-05-2026", "environment": "remote", "input": "Answer: {{ question }}"},
)


@dataclass(frozen=True, slots=True)
class Revoked:
    """What a seed has in store. `faults` is the plan of the life in which the key is revoked."""

    slots: int
    request: dict[str, Any]
    faults: str
    latency: str

    @classmethod
    def by(cls, seed: int, slots: int) -> Revoked:
        random = Random(f"{seed} {slots}")
        kind = random.choice(("key_revoked", "key_denied"))
        call = random.choice(("", "get/"))
        beside = random.choice(("slow=3s:0.5", "slow=40s:1.0", "503:0.2", "404_after_create=20s:0.3", "slow=0s:0.1"))
        return cls(
            slots,
            random.choice(_REQUESTS) if not call else _SAY,
            f"{call}{kind}:#{random.randint(1, _ROWS)},{beside}",
            random.choice(("0ms", "3s", "uniform:1s,30s")),
        )


def faults(where: Path, revoked: Revoked) -> Iterator[str]:
    """What is wrong with the life in which the key is revoked, and with the one after it, when it is good again."""
    job = Rehearsal(where, rows=_ROWS, limits={"posts": revoked.slots})
    job.spec["request"] = revoked.request
    job.clock = Clocks()
    with suppress(Endless):
        yield from _of_life(job.run(faults=revoked.faults, latency=revoked.latency))
        after = sum(line["status"] == 403 for line in job.ledger())
        if after > revoked.slots:
            yield f"{after} POSTs came after the revocation, with {revoked.slots} slots"
        yield from _of_the_next(job, job.run(latency=revoked.latency))
        return
    yield "a life without an end"


def _of_life(result: Result) -> Iterator[str]:
    if result.exit_code is not Exit.CREDENTIALS or "does not accept the API key" not in str(result.stopped_by):
        yield f"it ended with {result.exit_code!r}: {result.stopped_by}"
    summary = result.summary
    if summary.failed or summary.ambiguous or summary.succeeded + summary.pending != _ROWS:
        yield f"rows are lost: {summary}"


def _of_the_next(job: Rehearsal, result: Result) -> Iterator[str]:
    if result.exit_code is not Exit.OK or result.summary.succeeded != _ROWS:
        yield f"with a good key it ended with {result.exit_code!r}: {result.summary.errors}"
    each = len(job.spec["request"].get("turns", [""]))
    paid = Counter(attempt["key"] for attempt in job.usage() if attempt["interaction_id"] or attempt["total_tokens"])
    if len(job.billed()) != each * _ROWS or any(times != each for times in paid.values()):
        yield f"{len(job.billed())} interactions were paid for, where {each * _ROWS} are needed"


def prove(where: Path, *, full: bool) -> list[Figure]:
    """So many seeds for each number of slots."""
    seeds = range(_SEEDS_FULL if full else _SEEDS_SHORT)
    found: list[str] = []
    with scratch() as memory:
        for slots in SLOTS:
            for seed in seeds:
                here = Path(memory) / f"{slots}-{seed}"
                found += [f"seed {seed}, {slots} slots: {line}" for line in faults(here, Revoked.by(seed, slots))]
    return [
        Figure(
            "key revoked: runs with more POSTs than open slots after it",
            f"0 of {len(SLOTS) * len(seeds):,}",
            f"{len(found)} faults in {len(SLOTS) * len(seeds):,} runs",
            not found,
            "; ".join(found[:10])
            or f"with {', '.join(map(str, SLOTS))} slots; each ended with 77, and went on with a good key to its end, "
            "every row paid for once",
        )
    ]
