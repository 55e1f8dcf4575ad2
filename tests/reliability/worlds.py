"""A run with everything round it: its files, the service that it calls, and the clocks of both."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from batchrun.emulator import EmulatorSettings, parse_latency
from batchrun.engine.events import Ended, Event, Observer, Started, Stopping, ignore
from batchrun.errors import Exit
from batchrun.runs.directory import RunDir
from batchrun.runs.options import Options
from batchrun.runs.run import Result, retry, run
from batchrun.spec.load import load_job
from batchrun.store.reader import Reader
from batchrun.store.store import Store
from tests.reliability import books
from tests.reliability.books import GUARDS, Allowed, Books
from tests.reliability.clocks import Clocks, Died, Endless
from tests.reliability.fates import Fate, Life

_WORDS = ("Oslo", "Rome", "Lima")
#: How a life may end. That our own books do not add up, or the disk fails, must not happen here.
#: A run that began ends with 65 where the key may not use the job's model.
_ENDS = (
    Exit.OK, Exit.SOME_ROWS_FAILED, Exit.ROWS_HELD, Exit.BAD_INPUT, Exit.TRY_LATER, Exit.CREDENTIALS,
    Exit.SIGINT, Exit.SIGTERM,
)  # fmt: skip


class World:
    """`where` is an empty directory. The checkpoint is made before the first life, with the guards of the laws in it.

    `broken` are the laws that were broken so far, in words.
    """

    def __init__(self, where: Path, fate: Fate, clocks: Clocks | None = None) -> None:
        self.where, self.fate = where, fate
        self.clocks = clocks or Clocks(died=self._photograph)
        self.directory = RunDir(where / "run")
        self.rows: list[dict[str, Any]] = []
        self.reopened = 0
        self.broken: list[str] = []
        self._image = where / "image"
        self.directory.path.mkdir(mode=0o700)
        self.directory.checkpoint.write_bytes(_guarded())
        (where / "job.json").write_text(json.dumps(fate.spec))
        self.grow(fate.rows)
        self.job = load_job(where / "job.json")

    @property
    def keys(self) -> list[str]:
        return [row["id"] for row in self.rows]

    @property
    def began(self) -> bool:
        """Whether the run has taken its rows in."""
        with Reader(self.directory.checkpoint) as reader:
            return reader.meta("input") is not None

    def grow(self, count: int) -> None:
        """Add rows to the input."""
        first = len(self.rows)
        self.rows += [{"id": f"r{n}", "word": f"{_WORDS[n % len(_WORDS)]}{n}"} for n in range(first, first + count)]
        self.write_rows()

    def write_rows(self) -> None:
        (self.where / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.rows))

    def live(self, life: Life) -> Result | None:
        """One life of the run; what came of it, None if it died. What it breaks is kept in `broken`."""
        self.clocks.now += life.after
        self.clocks.jumps += [replace(jump, at=self.clocks.now + jump.at) for jump in life.jumps]
        self.clocks.dies_at = life.dies_at
        options = self.options(life)
        result: Result | None = None
        try:
            result = run(self.job, options, self.clocks.wall, self._stopping(life), self.clocks.run)
        except Died:
            self._lie_down()
        except Endless as error:
            self.broken.append(f"a life without an end: {error}")
        except Exception as error:
            self.broken.append(f"a life did not begin, or broke: {type(error).__name__}: {error}")
        if result is not None and result.exit_code not in _ENDS:
            self.broken.append(f"a life ended with {result.exit_code!r}: {result.stopped_by}")
        self.check(ended=result is not None)
        return result

    def retry(self) -> int:
        """What `batchrun retry` with all its options does; how many rows are pending again."""
        self.reopened += 1
        outcomes = ["failed", "invalid_output", "incomplete", "blocked", "ambiguous"]
        again = retry(self.job, self.directory, outcomes, [], self.clocks.wall())
        return again.to_poll + again.to_send

    def options(self, life: Life) -> Options:
        """What the command line adds in this life."""
        return Options(self.directory.path, emulator=self.service(life), seed=self.fate.seed, looks=None)

    def service(self, life: Life) -> EmulatorSettings:
        """The emulator of a life; its state and its ledger outlast it."""
        return EmulatorSettings(
            latency=parse_latency(self.fate.latency),
            faults=life.faults,
            ledger=self.where / "ledger.jsonl",
            state=self.where / "service.db",
            clock=self.clocks.service,
            foreign_signatures=True,
            **self.fate.emulator,
        )

    def books(self) -> Books:
        return books.read(self.directory.checkpoint, self.where / "ledger.jsonl", self.where / "service.db")

    def check(self, *, ended: bool) -> Books:
        """Compare the books, also with the output where a life has come to its end; `broken` gets what is wrong."""
        now = self.books()
        self.broken += now.violations(self.keys, self.allowed())
        if ended:
            self.broken += books.ended(now, self.directory.path / "results.parquet")
        return now

    def allowed(self) -> Allowed:
        spec = self.job.spec
        doubt = spec.retry.ambiguous
        policy = doubt.agent if spec.request.agent else doubt.model
        most = max(3, -(-len(self.keys) // 100)) if doubt.max_resubmits is None else doubt.max_resubmits
        return Allowed(spec.retry.attempts, most if policy == "resubmit" else 0, spec.limits.posts, self.reopened)

    def _stopping(self, life: Life) -> Observer:
        """An observer that sends a signal at the life's event of that number."""
        if life.stops_at is None:
            return ignore
        left = [life.stops_at]

        def observe(event: Event) -> None:
            left[0] -= not isinstance(event, Started | Stopping | Ended)
            if left[0] == 0:
                left[0] = -1
                signal.raise_signal(signal.SIGINT if self.fate.seed % 2 else signal.SIGTERM)

        return observe

    def _photograph(self) -> None:
        """The disk as a death leaves it: nothing closed, nothing checkpointed, nothing cleaned up."""
        shutil.copytree(self.directory.path, self._image)

    def _lie_down(self) -> None:
        shutil.rmtree(self.directory.path)
        self._image.rename(self.directory.path)


@cache
def _guarded() -> bytes:
    """An empty checkpoint in which SQLite itself refuses what is against the laws."""
    with tempfile.TemporaryDirectory(prefix="batchrun-guarded-") as folder:
        path = Path(folder) / "run.db"
        with closing(Store(path)) as store:
            for guard in GUARDS:
                store.connection.execute(guard)
        return path.read_bytes()
