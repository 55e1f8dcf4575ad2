"""A run directory taken hold of: locked, its checkpoint opened, and known to be this job's."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from batchrun.clock import wall_clock
from batchrun.runs.directory import EMULATED, RunDir, identify, require_job
from batchrun.spec.load import Job
from batchrun.store.control import Control
from batchrun.store.files import state_directory
from batchrun.store.ledger import is_whole
from batchrun.store.lock import RunLock
from batchrun.store.reader import Reader
from batchrun.store.seal import is_sealed, seal
from batchrun.store.store import Store
from batchrun.store.trust import refuse_distrusted

_ADVICE = "Stop it first (Ctrl-C where it runs, or SIGINT to it), then use this command again."


@dataclass(frozen=True)
class OpenRun:
    """A run directory that this process holds: nobody else runs in it."""

    job: Job
    directory: RunDir
    store: Store
    reader: Reader
    run_id: str
    random: Random

    @property
    def uploads(self) -> Path:
        """Where the list of uploads is: a rehearsal has one of its own. Raises StoreError for a user without a home."""
        return uploads_of(self.reader, self.directory)


def uploads_of(reader: Reader, directory: RunDir) -> Path:
    """The directory of the list of a run's uploads. Raises StoreError."""
    return directory.path if reader.meta("target") == EMULATED else state_directory(os.environ)


@contextmanager
def open_run(job: Job, directory: RunDir, target: str, seed: int | None = None) -> Iterator[OpenRun]:
    """Lock, open and identify a run. Raises SpecError, LockedError, StoreError; nothing is sent."""
    directory.make()
    files = directory.checkpoint, directory.ledger
    with closing(RunLock(directory.path)):
        Control(directory.path).forget_unheard("the run to which this was said had ended", wall_clock())
        directory.refuse_if_lost()
        unsealed = not is_sealed(*files)
        with closing(Store(directory.checkpoint)) as store:
            random = Random(seed)
            try:
                if unsealed:
                    refuse_distrusted(store.connection, *files)
                directory.refuse_to_forget(store)
                run_id = identify(store, job, target, random)
                with Reader(directory.checkpoint) as reader:
                    if unsealed and reader.has_attempts() and not is_whole(directory.ledger):
                        store.mend_ledger(faulty=True)
                    yield OpenRun(job, directory, store, reader, run_id, random)
            except sqlite3.Error as error:
                raise store.unusable(error) from error
        seal(*files)


@contextmanager
def open_existing(job: Job, directory: RunDir) -> Iterator[OpenRun]:
    """Lock and open a run, whether or not its job's request has been edited since.

    Raises SpecError if there is none or if it is another job's, LockedError, StoreError; nothing is sent.
    """
    directory.require_ours()
    with Reader(directory.checkpoint, older=True) as known:
        run_id = known.meta("run_id") or ""
        require_job(job, directory, known)
    with closing(RunLock(directory.path, _ADVICE)), closing(Store(directory.checkpoint)) as store:
        try:
            with Reader(directory.checkpoint) as reader:
                yield OpenRun(job, directory, store, reader, run_id, Random())
        except sqlite3.Error as error:
            raise store.unusable(error) from error
