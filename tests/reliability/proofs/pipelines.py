"""Random pipelines through deaths, faults, retries and edits: in the end their tables are those of a plain reading.

    python -m tests.reliability.proofs.pipelines SEED…

repeats seeds, and prints their plans and every law that was broken.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.pipelines.flows import Flow, History, fate_of, lived
from tests.pipelines.plans import told
from tests.reliability.figures import Figure
from tests.reliability.processors import on_all_processors
from tests.reliability.scratch import scratch

COMMAND = "python -m tests.reliability.proofs.pipelines"
_CHUNK = 5


def prove(where: Path, *, full: bool) -> list[Figure]:
    """100 seeds, or 2,000 in full, on all processors."""
    return [figure(list(histories(range(2_000 if full else 100))))]


def figure(known: list[History]) -> Figure:
    """The figure of these seeds; the ones that broke a law are printed with the command that repeats them."""
    broken = [each for each in known if each.broken]
    for each in broken:
        print(f"{COMMAND} {each.seed}    # {each.broken[0]}", file=sys.stderr)
    return Figure(
        "random pipelines: seeds whose tables or payments are not the plan's",
        f"0 of {len(known):,}",
        f"{len(broken)} of {len(known):,}",
        not broken,
        f"{sum(h.lives for h in known):,} lives, {sum(h.deaths for h in known):,} deaths, "
        f"{sum(h.edits for h in known):,} edits, {sum(h.rows for h in known):,} rows of stages, "
        f"{sum(h.posts for h in known):,} payments",
    )


def histories(seeds: Iterable[int]) -> Iterator[History]:
    """What comes of each seed, on all processors."""
    return on_all_processors(history_of, seeds, _CHUNK)


def history_of(seed: int) -> History:
    """Live through a seed."""
    fate = fate_of(seed)
    with scratch() as folder:
        return lived(Flow(Path(folder), seed, fate.limits, fate.latency), fate)


if __name__ == "__main__":
    repeated = [history_of(int(seed)) for seed in sys.argv[1:]]
    for each in repeated:
        print(told([life.plan for life in fate_of(each.seed).lives]), *each.broken, sep="\n")
    sys.exit(any(each.broken for each in repeated))
