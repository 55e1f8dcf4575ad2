"""The runs under a directory, and how each stands. Only read: no file is made, nor one beside another's checkpoint."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from batchrun.errors import BatchrunError, StoreError
from batchrun.rows import Outcome
from batchrun.runs.directory import RunDir
from batchrun.store.charges import charged_usd
from batchrun.store.control import Control
from batchrun.store.damage import FOREIGN, explained, is_damage
from batchrun.store.lock import running
from batchrun.store.reader import Reader
from batchrun.store.tally import stage_tallies

State = Literal["running", "paused", "stopped", "held", "finished", "damaged", "unreadable"]

#: How far the search goes.
DEEPEST, MOST = 6, 20_000
_TRIES = ".tries"
_HELD = (Outcome.AMBIGUOUS, Outcome.AWAITING_APPROVAL)
_WELL = (Outcome.SUCCEEDED, Outcome.SKIPPED)


@dataclass(frozen=True, slots=True)
class Found:
    """A run. `holder` is the process that carries it, `reason` why it cannot be read; `changed` is in Unix seconds.

    Counts are of rows: `done` ones have an outcome; of them so many have `failed`, and `held` ones wait for the user.
    `in_flight` ones are pending and under way at the service. `charged_usd` is None for a run without a limit in money.
    """

    directory: Path
    state: State
    changed: float
    holder: str | None = None
    reason: str | None = None
    job: str = ""
    run_id: str = ""
    target: str = ""
    rows: int = 0
    done: int = 0
    failed: int = 0
    held: int = 0
    in_flight: int = 0
    charged_usd: float | None = None

    def document(self) -> dict[str, Any]:
        """It as JSON values."""
        return {**asdict(self), "directory": str(self.directory)}


@dataclass
class Search:
    """The run directories under `top`, itself included. `given_up` tells of a search that went no further."""

    top: Path
    tries: bool = False
    given_up: bool = False

    def directories(self) -> Iterator[RunDir]:
        """As they are found. Symbolic links and hidden directories are left out, and what may not be read."""
        waiting, looked = [(self.top, 0)], 0
        while waiting:
            path, depth = waiting.pop()
            looked += 1
            if looked > MOST:
                self.given_up = True
                return
            directory = RunDir(path)
            if _is_run(directory):
                yield directory
            elif depth < DEEPEST:
                waiting += [(each, depth + 1) for each in _below(path) if self.tries or each.suffix != _TRIES]
            else:
                self.given_up = self.given_up or any(True for _ in _below(path))


def found_in(directory: RunDir) -> Found:
    """How one run stands."""
    holder = running(directory.path)
    try:
        found = _read(directory, holder)
        if (begun := running(directory.path)) != holder:  # it was read while it began or ended
            found = _read(directory, begun)
        return found
    except (BatchrunError, OSError) as error:  # no other run is hidden by that
        broken = _tells_damage(error.__cause__) or not directory.checkpoint.exists()
        reason = " ".join(str(error).split())
        return Found(directory.path, "damaged" if broken else "unreadable", _changed(directory), holder, reason)


def _tells_damage(cause: BaseException | None) -> bool:
    return isinstance(cause, FOREIGN) or (isinstance(cause, sqlite3.Error) and is_damage(cause))


def _read(directory: RunDir, holder: str | None) -> Found:
    path = directory.checkpoint
    with explained(path), Reader(path, traceless=True) as reader, reader.snapshot():
        counts: dict[str, int] = {}
        for standings in stage_tallies(reader).values():
            for standing, count in standings.items():
                counts[standing] = counts.get(standing, 0) + count
        rows, in_flight, held = sum(counts.values()), counts.get("in_flight", 0), sum(counts.get(o, 0) for o in _HELD)
        done = rows - in_flight - counts.get("pending", 0)
        return Found(
            directory.path,
            _state(directory, holder, over=directory.is_over(rows, done), held=held > 0),
            _changed(directory),
            holder,
            job=reader.meta("job") or "",
            run_id=reader.meta("run_id") or "",
            target=reader.meta("target") or "",
            rows=rows,
            done=done,
            failed=done - held - sum(counts.get(outcome, 0) for outcome in _WELL),
            held=held,
            in_flight=in_flight,
            charged_usd=charged_usd(reader),
        )


def _state(directory: RunDir, holder: str | None, *, over: bool, held: bool) -> State:
    if over and not holder:
        return "held" if held else "finished"
    if _is_paused(directory):
        return "paused"
    return "running" if holder else "stopped"


def _is_paused(directory: RunDir) -> bool:
    """False also where that cannot be told: no run begins there, and says why."""
    try:
        return Control(directory.path, traceless=True).pause() is not None
    except StoreError:
        return False


def _changed(directory: RunDir) -> float:
    """When anything last happened in it."""
    log = directory.checkpoint.with_name(f"{directory.checkpoint.name}-wal")
    times = [0.0]
    for path in (directory.checkpoint, log, directory.summary, directory.ledger):
        try:
            status = path.stat()
        except OSError:
            continue
        if status.st_size or path != log:  # who only reads may leave an empty one
            times.append(status.st_mtime)
    return max(times)


def _is_run(directory: RunDir) -> bool:
    return any(_is_file(path) for path in (directory.checkpoint, directory.ledger))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file() and not path.is_symlink()
    except OSError:
        return False


def _below(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as entries:
            return [
                Path(each.path)
                for each in entries
                if each.is_dir(follow_symlinks=False) and not each.name.startswith(".")
            ]
    except OSError:
        return []
