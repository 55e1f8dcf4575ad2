"""Work on many seeds at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

import pyarrow as pa

T = TypeVar("T")


def on_all_processors(work: Callable[[int], T], seeds: Iterable[int], chunk: int) -> Iterator[T]:
    """What comes of each seed, in their order."""
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), pa.set_cpu_count, (1,)) as pool:
        yield from pool.map(work, seeds, chunksize=chunk)
