"""What `run` and `retry` do: the parts of a run put together, from the job file to the output files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import uvloop

from batchrun.clock import wall_clock
from batchrun.engine.events import Ended, Observer, Started, ignore
from batchrun.errors import Exit, RunError, Stopped
from batchrun.outputs.summary import Summary
from batchrun.runs.alerting import alerting_of
from batchrun.runs.budgets import budgets_of
from batchrun.runs.carrying import Carried, carry_all
from batchrun.runs.directory import RunDir, rows_called, run_dir
from batchrun.runs.exports import current_outputs, export_all
from batchrun.runs.intake import take_in
from batchrun.runs.opening import open_run
from batchrun.runs.options import Options, client_for
from batchrun.runs.preflight import check_outputs, output_directory
from batchrun.runs.service import api_key
from batchrun.runs.signals import stoppable, stopping_at_once
from batchrun.spec.load import Job
from batchrun.store.admission import Admission
from batchrun.store.reader import Reader
from batchrun.store.reopening import poll_again, reopen
from batchrun.store.tally import stage_tallies

T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """How a run ended.

    `limited` is True if not all rows were to end in this run, `admission` is None if the input was known already,
    `died_before` counts the POSTs that an earlier process left unknown, `never_sent` the rows that failed before a
    POST, by error class; `stopped_by` is what ended this run early.
    """

    summary: Summary
    directory: RunDir
    limited: bool = False
    admission: Admission | None = None
    died_before: int = 0
    nothing_to_do: bool = False
    never_sent: Mapping[str, int] = field(default_factory=dict)
    stopped_by: RunError | None = None

    @property
    def exit_code(self) -> Exit:
        """0 only if every row that was asked for succeeded."""
        if self.stopped_by is not None:
            return self.stopped_by.exit_code
        if self.summary.held:
            return Exit.ROWS_HELD
        due = self.summary.rows - (self.summary.pending if self.limited else 0)
        done = self.summary.succeeded + self.summary.skipped  # what lacks a row that failed is skipped, and that failed
        return Exit.OK if done == due else Exit.SOME_ROWS_FAILED


def run_fast(main: Coroutine[Any, Any, T]) -> T:
    """Like asyncio.run, on uvloop: some 5 % less CPU a row (`benchmarks/RESULTS.md`)."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def run(
    job: Job,
    options: Options,
    wall: Callable[[], float] = wall_clock,
    observe: Observer = ignore,
    run_async: Callable[[Coroutine[Any, Any, Carried]], Carried] = run_fast,
) -> Result:
    """Run a job, or go on with it. Raises SpecError or RunError if it could not start; later ones are in the Result.

    `wall` gives Unix time; `run_async` runs a coroutine on an event loop (tests bring one of their own).
    """
    target, emulated = options.target, options.emulator is not None
    directory = run_dir(job, options.run_dir, emulated=emulated)
    if not emulated and not directory.checkpoint.exists():
        api_key(options.base_url)  # before a directory is made that only says that nothing happened
    with stopping_at_once(), open_run(job, directory, target, options.seed) as opened:
        alerting = alerting_of(job, directory, wall, observe, patient=options.patient, emulated=emulated)
        started, bound = wall(), lower_bound(options.limit, job.spec.input.limit)
        admission = take_in(opened, bound, started, accept=options.accept_change)
        budgets = budgets_of(opened, wall)  # what cannot be kept is found before anything is sent
        check_outputs(job, opened.reader, output_directory(job, directory, emulated=emulated))
        if not opened.reader.count_pending(bound):
            done = Result(current_outputs(opened), directory, bound is not None, admission, nothing_to_do=True)
        else:
            client, died = client_for(options), opened.store.begin_epoch()
            opened.store.set_meta(retention=str(job.spec.poll.retention), limits=job.spec.limits.model_dump_json())
            pending, in_flight = opened.reader.count_pending(bound), opened.reader.count_in_flight()
            more, earlier = job.graph is not None, opened.store.epoch - 1
            standing = stage_tallies(opened.reader)
            observe(Started(pending, in_flight, more, opened.run_id, target, earlier, standing))
            carrying = carry_all(opened, client, bound, wall, observe, options, budgets=budgets, alerting=alerting)
            posts, stopped = run_async(carrying)
            with stopping_at_once():  # the loop has reset the handlers
                summary = export_all(opened, posts=posts, elapsed=wall() - started)
            done = Result(
                summary, directory, bound is not None or not options.patient, admission, died, stopped_by=stopped
            )
        if alerting is not None:
            try:
                asyncio.run(stoppable(alerting.ended(done.exit_code)))
            except Stopped as error:
                done = replace(done, stopped_by=done.stopped_by or error)
        result = replace(done, never_sent=opened.reader.never_sent())
        observe(Ended(result.summary, result.exit_code, str(done.stopped_by) if done.stopped_by else None))
        return result


def lower_bound(*limits: int | None) -> int | None:
    """The lowest of the limits that are given, None without any."""
    return min((limit for limit in limits if limit is not None), default=None)


@dataclass(frozen=True, slots=True)
class Reopened:
    """Rows that are pending again: those to be polled once more, for free, and those to be sent and billed anew."""

    to_poll: int
    to_send: int
    target: str


def retry(
    job: Job,
    directory: RunDir,
    outcomes: list[str],
    keys: list[str],
    at: float,
    *,
    from_start: bool = False,
    anew: bool = False,
) -> Reopened:
    """Make ended rows pending again. What has an id and no answer is polled first, unless `anew`.

    A key without a stage means that row in all stages. Raises SpecError for a key that no row has.
    """
    with Reader(directory.checkpoint, older=True) as reader:
        target = reader.meta("target") or ""
    with open_run(job, directory, target) as opened:
        keys = [named for key in keys for named in rows_called(job, opened.reader, key)]
        to_poll = 0 if anew or from_start else poll_again(opened.store, outcomes, keys, at)
        return Reopened(to_poll, reopen(opened.store, outcomes, keys, at, from_start=from_start), target)
