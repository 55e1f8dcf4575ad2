"""Where a run lives, and which job it belongs to."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from random import Random

from batchrun.disk import sync_directory
from batchrun.errors import DISK_TROUBLE, SpecError, StoreError
from batchrun.rows import key_of
from batchrun.spec.load import Job
from batchrun.store.ledger import is_whole
from batchrun.store.reader import Reader
from batchrun.store.store import Store

EMULATED = "emulator"


@dataclass(frozen=True)
class RunDir:
    """The files of one run. Emulated runs have a directory of their own, so they never mix with paid ones."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        return self.path / "run.db"

    @property
    def ledger(self) -> Path:
        """The ids beside the checkpoint."""
        return self.path / "run.ledger"

    @property
    def exists(self) -> bool:
        """True if there is a run, or what is left of one."""
        return self.checkpoint.exists() or self.ledger.exists()

    @property
    def begun(self) -> bool:
        """True also before there is a checkpoint: once a process has taken hold of it."""
        return self.exists or (self.path / "run.lock").exists()

    def is_over(self, rows: int, done: int) -> bool:
        """Whether nothing is left to do. A run without rows may not have read its input: `run.json` tells its end."""
        return rows == done and (rows > 0 or self.summary.exists())

    @property
    def summary(self) -> Path:
        return self.path / "run.json"

    @property
    def log(self) -> Path:
        """Where a run's log is, unless it was told otherwise."""
        return self.path / "run.log"

    @property
    def media(self) -> Path:
        """Where the media of answers are."""
        return self.path / "media"

    @property
    def emulator_ledger(self) -> Path:
        return self.path / "emulator.ledger.jsonl"

    @property
    def emulator_state(self) -> Path:
        return self.path / "emulator.db"

    def refuse_if_lost(self) -> None:
        """Raises StoreError if a run was begun here of which neither the checkpoint nor a ledger is left."""
        told = self.ledger.exists() and self.ledger.stat().st_size
        traces = [path.name for path in (self.summary, self.path / "run.ballast") if path.exists()]
        if traces and not told and not self.checkpoint.exists():
            raise self._forgotten(traces)

    def refuse_to_forget(self, store: Store) -> None:
        """Raises StoreError if the checkpoint does not know of a run that was finished here, or only its beginning."""
        if store.meta("run_id") is None and self.summary.exists():
            raise self._forgotten([self.summary.name])
        (attempts,) = store.connection.execute("SELECT count(*) FROM attempt").fetchone()
        if self.counted_attempts(store.meta("run_id")) > attempts and not is_whole(self.ledger):
            raise StoreError(
                f"{self.checkpoint}: an old copy: {self.summary.name} counts more attempts than it knows, which would "
                "be paid again, and no ledger tells their ids. Nothing was sent. Restore a copy of the checkpoint or "
                "of the ledger, or accept that with `batchrun recover --accept-damage`."
            )

    def counted_attempts(self, run_id: str | None) -> int:
        """The attempts that `run.json` counts, 0 where it does not tell of this run."""
        try:
            known = json.loads(self.summary.read_bytes())
            attempts = known["attempts"] if known["run_id"] == run_id else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        return attempts if isinstance(attempts, int) else 0

    def _forgotten(self, traces: list[str]) -> StoreError:
        return StoreError(
            f"{self.checkpoint}: the checkpoint is gone or empty, but {' and '.join(traces)} tell of an earlier run, "
            "whose rows would all be sent and paid again. Restore it, or choose another --run-dir. Nothing was sent."
        )

    def require_ours(self) -> None:
        """Raises SpecError if what is written here could land elsewhere, or in the hands of another user."""
        try:
            status = self.path.lstat()
        except OSError:
            return  # whoever opens what is in it says so
        if stat.S_ISLNK(status.st_mode):
            raise SpecError(
                f"{self.path}: the run directory is a symbolic link; nothing was sent. "
                f"Name the directory itself: `--run-dir {self.path.resolve()}`."
            )
        if status.st_uid not in (os.geteuid(), 0):
            raise SpecError(
                f"{self.path}: the run directory belongs to another user (uid {status.st_uid}), who could read and "
                "change what is in it; nothing was sent. Choose another `--run-dir`, or run as that user."
            )
        if status.st_mode & stat.S_IWOTH and self.path.is_dir():
            raise SpecError(
                f"{self.path}: every user of this machine may write into the run directory, and so change what is in "
                f"it; nothing was sent. Take that away (`chmod o-w {self.path}`), or name a directory in it: "
                f"`--run-dir {self.path / 'run'}`."
            )

    def make(self) -> None:
        """Create the directory. Raises SpecError where that is not possible, StoreError where the disk refuses."""
        self.require_ours()
        path = self.path.absolute()
        missing = [each for each in (path, *path.parents) if not each.exists()]
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for made in missing:
                sync_directory(made.parent)
        except OSError as error:
            kind = StoreError if error.errno in DISK_TROUBLE else SpecError
            raise kind(f"{self.path}: cannot make the run directory: {error.strerror}; choose `--run-dir`.") from error


def run_dir(job: Job, chosen: Path | None, *, emulated: bool) -> RunDir:
    """The directory of a job's run: the chosen one, else `runs/NAME` (or `runs/NAME.emulated`) beside the job file.

    Each slot of a scheduled job has one of its own in it. Raises SpecError for such a job without its slot.
    """
    if job.spec.schedule is not None and job.dates is None:
        raise SpecError(f"{job.path}: the job has a `schedule`; load it with the dates of a slot.")
    slot = job.dates.slot if job.dates is not None else ""
    return RunDir(chosen or runs_of(job, emulated=emulated) / slot)


def runs_of(job: Job, *, emulated: bool) -> Path:
    """The directory of a job's run; of a scheduled job, that of the runs of its slots and of their record."""
    return runs_called(job.spec.name, job.base, emulated=emulated)


def runs_called(name: str, base: Path, *, emulated: bool) -> Path:
    """The same for a job of this name whose file is in `base`."""
    return base / "runs" / (name + (".emulated" if emulated else ""))


def existing_run_dir(job: Job, chosen: Path | None, *, emulated: bool) -> RunDir:
    """The run to look at: the chosen one, else the paid one if it exists, else the emulated one."""
    found = run_dir(job, chosen, emulated=emulated)
    fallback = run_dir(job, None, emulated=True)
    if chosen is None and not found.exists and fallback.exists:
        return fallback
    return found


def identify(store: Store, job: Job, target: str, random: Random) -> str:
    """Make the checkpoint this job's, or check that it is. Returns the run's id.

    `target` is the service's address, or EMULATED. Raises SpecError if the checkpoint holds another job's run or
    another target's, or if its rows were named otherwise.
    """
    run_id = store.meta("run_id")
    if run_id is None:
        run_id = f"{random.getrandbits(64):016x}"
        key_column = job.spec.input.key or ""
        store.set_meta(run_id=run_id, job=job.spec.name, target=target, key_column=key_column, **_slot_of(job))
        remember(store, job)
        return run_id
    _same(store, "job", job.spec.name, "belongs to another job")
    _same(store, "key_column", job.spec.input.key or "", "named its rows by another `input.key`")
    _same(store, "target", target, "was made against another service")
    if store.meta("slot") is None:
        store.set_meta(**_slot_of(job))
    elif job.dates is not None:
        _same(store, "slot", job.dates.slot, "is of another slot of the schedule")
    _refuse_other_shape(job, store.path.parent, store.meta("request_parts"))
    return run_id


def require_job(job: Job, directory: RunDir, reader: Reader) -> None:
    """Raises SpecError if the run is another job's, or of the job before it had stages, or when it still had them."""
    if (name := reader.meta("job")) != job.spec.name:
        raise SpecError(f"{directory.path}: this run directory belongs to another job ({name!r}).")
    _refuse_other_shape(job, directory.path, reader.meta("request_parts"))


def _refuse_other_shape(job: Job, path: Path, parts: str | None) -> None:
    """Rows of stages are named otherwise than those of a job without any: no answer of one can be the other's."""
    had_stages = any(name.startswith("stages.") for name in json.loads(parts or "{}"))
    if parts and had_stages != (job.graph is not None):
        raise SpecError(
            f"{path}: this run directory is of the job as it was {'with' if had_stages else 'without'} stages; "
            "nothing was sent. Choose another one with `--run-dir`."
        )


def rows_called(job: Job, reader: Reader, key: str) -> list[str]:
    """The rows that a user means by a key: the one that has it, else those of all stages that have it within theirs.

    Raises SpecError if there is none.
    """
    keys = [key, *(key_of(stage, key) for stage in job.stages)]
    if found := [each for each in keys if reader.standing(each) is not None]:
        return found
    example = ", or as STAGE:KEY" if job.graph else ""
    raise SpecError(f"no row has the key {key!r}; `results.parquet` lists the keys{example}. Nothing was changed.")


def remember(store: Store, job: Job) -> None:
    """Note what the job asks, so that a later run can tell what has been edited."""
    values = json.dumps(job.values, ensure_ascii=False)
    store.set_meta(request=job.fingerprint, request_parts=json.dumps(job.parts), request_values=values)


def _slot_of(job: Job) -> dict[str, str]:
    """What a run directory says of its slot."""
    return {} if job.dates is None else {"slot": job.dates.slot, "run_date": job.dates.run_date}


def _same(store: Store, name: str, value: str, problem: str) -> None:
    known = store.meta(name)
    if known != value:
        raise SpecError(
            f"{store.path.parent}: this run directory {problem} ({known!r}, not {value!r}); nothing was sent. "
            "Choose another one with `--run-dir`."
        )
