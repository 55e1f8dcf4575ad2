"""What `batchrun try` does: one row of a job, run by itself, in a directory of its own: what is paid for is kept.

It is the same engine on the same path as a run; only the client may stream, and tells what comes while it comes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from batchrun.clock import wall_clock
from batchrun.engine.events import Event, Observer, Stopping, ignore
from batchrun.errors import Exit, RunError, SpecError
from batchrun.inputs.read import read_rows
from batchrun.interactions.client import Client
from batchrun.interactions.models import Interaction
from batchrun.interactions.streaming import StreamingClient
from batchrun.interactions.turns import last_answer
from batchrun.prices.bill import Cost
from batchrun.prices.table import Prices
from batchrun.rows import InputRow, Outcome
from batchrun.runs.bills import cost_of
from batchrun.runs.budgets import budgets_of
from batchrun.runs.carrying import carry_all
from batchrun.runs.directory import RunDir, remember, run_dir
from batchrun.runs.opening import OpenRun, open_run
from batchrun.runs.options import Options, client_for
from batchrun.runs.run import run_fast
from batchrun.runs.service import Tell
from batchrun.runs.signals import stopping_at_once
from batchrun.spec.load import Job
from batchrun.store.admission import admit
from batchrun.store.records import AttemptRecord, RowRecord


@dataclass(frozen=True)
class Trial:
    """How it ended. `row` is None if no answer came; `stopped_by` is what ended it early."""

    directory: RunDir
    row: RowRecord | None
    attempts: tuple[AttemptRecord, ...]
    stopped_by: RunError | None = None

    @property
    def exit_code(self) -> Exit:
        if self.stopped_by is not None:
            return self.stopped_by.exit_code
        outcome = self.row.outcome if self.row else None
        if outcome in (Outcome.AMBIGUOUS, Outcome.AWAITING_APPROVAL):
            return Exit.ROWS_HELD
        return Exit.OK if outcome == Outcome.SUCCEEDED else Exit.SOME_ROWS_FAILED

    @property
    def answers(self) -> list[Interaction]:
        """Every answer of the row's conversation, in its order."""
        found = [] if self.row is None else [*self.row.earlier, *([self.row.attempt] if self.row.attempt else [])]
        return [attempt.answer() or Interaction({}) for attempt in found if attempt.raw is not None]

    @property
    def answer(self) -> Interaction:
        """The last answer, whole if it came in hops."""
        answers = self.answers
        return last_answer(answers) if answers else Interaction({})

    def cost(self, prices: Prices) -> list[Cost | None]:
        """What each interaction costs; None for one that cannot be priced."""
        return [cost_of(attempt, prices) for attempt in self.attempts if attempt.billed is not False]


def try_row(
    job: Job,
    options: Options,
    key: str | None,
    directory: RunDir,
    tell: Tell | None = None,
    observe: Observer = ignore,
) -> Trial:
    """Run one row, the first without a `key`. With `tell` the answers are streamed. Raises SpecError or RunError."""
    if job.graph is not None:
        raise SpecError(
            f"{job.path}: `try` runs one request, and this job has stages; nothing was sent. `batchrun run --limit 1` "
            "takes one row through all of them, and `--emulator` costs nothing."
        )
    row, target = find_row(job, key), options.target
    if options.emulator:
        directory.make()  # the emulator's state is in it
    client = client_for(options, tell)
    with stopping_at_once(), open_run(job, directory, target, options.seed) as opened:
        _take_in(opened, row, wall_clock())
        opened.store.begin_epoch()
        heeding = _leaving(client, observe)
        budgets = budgets_of(opened, wall_clock)
        alone = replace(options, looks=None)  # nobody steers it
        carrying = carry_all(opened, client, None, wall_clock, heeding, alone, budgets=budgets, waits=tell is not None)
        _, stopped = run_fast(carrying)
        attempts = tuple(opened.reader.attempts(row.key, raw=True))
        return Trial(directory, opened.reader.row(row.key), attempts, stopped)


def _take_in(opened: OpenRun, row: InputRow, at: float) -> None:
    """Raises SpecError where another row, or the same with another request, was tried in this directory before."""
    edited = opened.reader.has_attempts() and opened.reader.meta("request") != opened.job.fingerprint
    with opened.store.db.atomic():
        found = admit(opened.store, [row], at, named=True, complete=True)
        if edited or found.changed or found.gone:
            raise SpecError(
                f"{opened.directory.path}: holds a run with other rows, or with another request; nothing was sent. "
                "Choose another --run-dir."
            )
        remember(opened.store, opened.job)


def _leaving(client: Client, observe: Observer) -> Observer:
    """The observer, and a stream that ends when the run is to stop: the interaction goes on by itself, its id known."""

    def told(event: Event) -> None:
        observe(event)
        if isinstance(event, Stopping) and isinstance(client, StreamingClient):
            client.leave()

    return told


def find_row(job: Job, key: str | None) -> InputRow:
    """The row of this key, the first that can be read without one. Raises SpecError."""
    for row in read_rows(job.spec.input, job.base, taken=job.taken):
        if row.key == key or (key is None and row.problem is None):
            if row.problem is not None:
                raise SpecError(f"{row.problem.message}; nothing was sent.")
            return row
    wanted = "that can be read" if key is None else f"with the key {key!r} (see `batchrun plan --show 3` for keys)"
    raise SpecError(f"{job.spec.input.path or job.spec.input.files}: there is no row {wanted}; nothing was sent.")


def next_directory(job: Job, *, emulated: bool) -> RunDir:
    """A directory for one more try, beside the job's runs."""
    tries = run_dir(job, None, emulated=emulated).path
    parent = tries.with_name(f"{tries.name}.tries")
    number = 1 + max((int(found.name) for found in parent.glob("*") if found.name.isdecimal()), default=0)
    return RunDir(Path(parent, str(number)))
