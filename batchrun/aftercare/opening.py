"""A run that exists, opened to do something about it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from random import Random

from batchrun.errors import SpecError
from batchrun.interactions.client import DEFAULT_BASE_URL
from batchrun.outputs.summary import Summary
from batchrun.reports.rows import known_outputs
from batchrun.runs.directory import EMULATED, RunDir
from batchrun.runs.opening import OpenRun
from batchrun.runs.run import Options, emulator_settings, export_all, export_mark
from batchrun.runs.service import checked_base_url
from batchrun.spec.load import Job
from batchrun.store.lock import RunLock
from batchrun.store.reader import Reader
from batchrun.store.store import Store

_ADVICE = "Stop it first (Ctrl-C where it runs, or SIGINT to it), then use this command again."


def service_of(job: Job, directory: RunDir, base_url: str | None = None, version: str = "v1beta") -> Options:
    """The service that a run was made against. Raises SpecError if there is no run, or if it is another service.

    A remote address has to be given again: a run directory has no say in where the API key goes.
    """
    with Reader(directory.checkpoint) as reader:
        target = reader.meta("target") or ""
    if target == EMULATED:
        if base_url is not None:
            raise SpecError(f"{directory.path}: this run was made on the emulator; leave out --base-url.")
        settings = emulator_settings(job, directory.path, "0ms", None)
        return Options(directory.path, emulator=settings)
    address = checked_base_url(base_url or DEFAULT_BASE_URL)
    if address != target:
        raise SpecError(
            f"{directory.path}: this run was made against {target}, not {address}; nothing was sent. "
            f"If that is right, say so with `--base-url {target}`."
        )
    return Options(directory.path, address, version)


@contextmanager
def open_existing(job: Job, directory: RunDir) -> Iterator[OpenRun]:
    """Lock and open a run, whether or not its job's request has been edited since.

    Raises SpecError if there is none or if it is another job's, LockedError, StoreError; nothing is sent.
    """
    with Reader(directory.checkpoint) as reader:
        run_id, name = reader.meta("run_id") or "", reader.meta("job")
        if name != job.spec.name:
            raise SpecError(f"{directory.path}: this run directory belongs to another job ({name!r}).")
        with closing(RunLock(directory.path, _ADVICE)), closing(Store(directory.checkpoint)) as store:
            try:
                yield OpenRun(job, directory, store, reader, run_id, Random())
            except sqlite3.Error as error:
                raise store.unusable(error) from error


def current_outputs(opened: OpenRun) -> Summary:
    """Write the output files unless they are of just this state. Raises StoreError, InvariantError."""
    return known_outputs(opened.directory, opened.reader, export_mark(opened)) or export_all(opened)
