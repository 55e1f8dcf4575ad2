"""The figures of a run, read from its checkpoint: a later process goes on with the counts of the ones before it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from batchrun.store.charges import charged_usd
from batchrun.store.glance import last_ended
from batchrun.store.migrations import OPEN
from batchrun.store.reader import Reader
from batchrun.store.tally import stage_tallies
from batchrun.store.tokens import token_count
from batchrun.telemetry.records import KINDS

#: Upper bounds, in seconds, of the classes in which interactions are counted by how long they took.
BOUNDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Figures:
    """How a run stands. Times are Unix seconds, None for what has not been.

    `rows` are by stage and standing: an outcome, `in_flight` or `pending`. `tokens` are by kind. `took` counts the
    interactions that took no longer than each of BOUNDS, and then those that took longer; `seconds` is their sum.
    `charged` is what counts against the limit in money, in dollars.
    """

    rows: Mapping[str, Mapping[str, int]]
    posts: int
    polls: int
    tokens: Mapping[str, int]
    took: tuple[int, ...]
    seconds: float
    charged: float | None
    last_row: float | None
    oldest_in_flight: float | None


def figures_of(checkpoint: Path) -> Figures:
    """Read them. Raises SpecError or StoreError for a checkpoint that cannot be read."""
    with Reader(checkpoint) as reader, reader.snapshot():
        one = reader.connection.execute
        posts, polls = one("SELECT total(posts), total(polls) FROM attempt").fetchone()
        (oldest,) = one(f"SELECT min(submitted_at) FROM attempt WHERE state = 'submitted' AND {OPEN}").fetchone()
        charged, (took, seconds), last_row = charged_usd(reader), _took(reader), last_ended(reader)
        rows, tokens = stage_tallies(reader), _tokens(reader)
    return Figures(rows, int(posts), int(polls), tokens, took, seconds, charged, last_row, oldest)


def _tokens(reader: Reader) -> dict[str, int]:
    """By kind."""
    each = ", ".join(f"total({token_count(f'total_{kind}_tokens')})" for kind in KINDS)
    found = reader.connection.execute(f"SELECT {each} FROM attempt WHERE usage NOT NULL").fetchone()
    return {kind: int(count) for kind, count in zip(KINDS, found, strict=True)}


def _took(reader: Reader) -> tuple[tuple[int, ...], float]:
    """How many interactions took how long, by the classes of BOUNDS, and how long all of them took."""
    query = "SELECT max(fetched_at - submitted_at, 0) FROM attempt WHERE fetched_at NOT NULL AND submitted_at NOT NULL"
    counts, seconds = [0] * (len(BOUNDS) + 1), 0.0
    for (took,) in reader.connection.execute(query):
        counts[bisect_left(BOUNDS, took)] += 1
        seconds += took
    return tuple(counts), seconds
