"""The commands for after a run, as functions, on the emulator and the clock of a rehearsal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batchrun.aftercare.cancellation import Cancelled, cancel
from batchrun.aftercare.downloads import Downloaded, download
from batchrun.aftercare.purge import Purged, purge
from batchrun.runs.directory import RunDir
from batchrun.runs.options import Options
from batchrun.spec.load import load_job
from batchrun.store.reader import Reader
from batchrun.store.records import AttemptRecord
from tests.engine.test_resume import stop_at_event
from tests.rehearsal import Rehearsal


def leave_in_flight(job: Rehearsal, submitted: int | None = None, latency: str = "30m", **emulator: Any) -> None:
    """A run that is stopped when so many rows (all of them) are submitted, and none is answered."""
    with stop_at_event(submitted or len(job.rows)) as observe:
        job.run(latency=latency, observe=observe, **emulator)


def options(job: Rehearsal, **emulator: Any) -> Options:
    return Options(job.directory, emulator=job.settings(**emulator))


def cancel_all(job: Rehearsal, *keys: str, **emulator: Any) -> Cancelled:
    service = options(job, **emulator)
    return cancel(load_job(job.write()), RunDir(job.directory), service, keys, job.clock.wall, job.clock.run)


def purge_all(job: Rehearsal, *, force: bool = False, files: bool = False, **emulator: Any) -> Purged:
    service, loaded, directory = options(job, **emulator), load_job(job.write()), RunDir(job.directory)
    clock = job.clock
    return purge(loaded, directory, service, force=force, files=files, wall=clock.wall, run_async=clock.run)


def download_all(
    job: Rehearsal, *patterns: str, keys: Sequence[str] = (), to: Path | None = None, **emulator: Any
) -> Downloaded:
    service, directory = options(job, **emulator), RunDir(job.directory)
    return download(
        load_job(job.write()), directory, service, keys, patterns, to, wall=job.clock.wall, run_async=job.clock.run
    )


def attempts(job: Rehearsal) -> list[AttemptRecord]:
    with Reader(job.directory / "run.db") as reader:
        return list(reader.attempts())


def statuses(job: Rehearsal) -> dict[str, str]:
    return {row["key"]: row["status"] for row in job.results()}
