"""A run directory taken hold of: locked, its checkpoint opened, and known to be this job's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from random import Random

from batchrun.runs.directory import RunDir, identify
from batchrun.spec.load import Job
from batchrun.store.lock import RunLock
from batchrun.store.reader import Reader
from batchrun.store.store import Store


@dataclass(frozen=True)
class OpenRun:
    """A run directory that this process holds: nobody else runs in it."""

    job: Job
    directory: RunDir
    store: Store
    reader: Reader
    run_id: str
    random: Random


@contextmanager
def open_run(job: Job, directory: RunDir, target: str, seed: int | None = None) -> Iterator[OpenRun]:
    """Lock, open and identify a run. Raises SpecError, LockedError, StoreError; nothing is sent."""
    directory.make()
    with closing(RunLock(directory.path)), closing(Store(directory.checkpoint)) as store:
        random = Random(seed)
        try:
            directory.refuse_to_forget(store)
            run_id = identify(store, job, target, random)
            with Reader(directory.checkpoint) as reader:
                yield OpenRun(job, directory, store, reader, run_id, random)
        except sqlite3.Error as error:
            raise store.unusable(error) from error
