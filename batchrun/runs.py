"""What `run`, `retry` and `export` do: the parts of a run put together, from the job file to the output files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from batchrun.carrying import Carried, carry_all
from batchrun.clock import wall_clock
from batchrun.emulator import EmulatorSettings, load_faults, load_replies, parse_latency
from batchrun.engine.engine import ignore
from batchrun.engine.events import Observer, Started
from batchrun.errors import Exit, RunError
from batchrun.intake import take_in
from batchrun.interactions.client import DEFAULT_BASE_URL, Client
from batchrun.opening import OpenRun, open_run
from batchrun.outputs.context import context_of
from batchrun.outputs.export import check_written, export, hashes_of
from batchrun.outputs.summary import Summary
from batchrun.preflight import check_outputs, output_directory
from batchrun.reports import known_outputs, summarize
from batchrun.rundir import EMULATED, RunDir, run_dir
from batchrun.service import api_key, checked_base_url, emulated_client, remote_client
from batchrun.signals import stopping_at_once
from batchrun.spec.load import Job
from batchrun.store.admission import Admission
from batchrun.store.reader import Reader
from batchrun.version import __version__

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """What the command line adds to a job. `emulator` runs the service in this process; None calls `base_url`.

    `accept_change` allows rows that are asked otherwise than before to be sent again.
    """

    run_dir: Path | None = None
    base_url: str = DEFAULT_BASE_URL
    version: str = "v1beta"
    emulator: EmulatorSettings | None = None
    limit: int | None = None
    seed: int | None = None
    accept_change: bool = False


@dataclass(frozen=True)
class Result:
    """How a run ended.

    `limited` is True if only the first rows were asked for, `admission` is None if the input was known already,
    `died_before` counts the POSTs that an earlier process left unknown, `never_sent` the rows that failed before a
    POST, `stopped_by` is what ended this run early.
    """

    summary: Summary
    directory: RunDir
    limited: bool = False
    admission: Admission | None = None
    died_before: int = 0
    nothing_to_do: bool = False
    never_sent: int = 0
    stopped_by: RunError | None = None

    @property
    def exit_code(self) -> Exit:
        """0 only if every row that was asked for succeeded."""
        if self.stopped_by is not None:
            return self.stopped_by.exit_code
        if self.summary.held:
            return Exit.ROWS_HELD
        due = self.summary.rows - (self.summary.pending if self.limited else 0)
        return Exit.OK if self.summary.succeeded == due else Exit.SOME_ROWS_FAILED


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
    target = EMULATED if options.emulator else checked_base_url(options.base_url)
    directory = run_dir(job, options.run_dir, emulated=options.emulator is not None)
    if options.emulator is None and not directory.checkpoint.exists():
        api_key(options.base_url)  # before a directory is made that only says that nothing happened
    with stopping_at_once(), open_run(job, directory, target, options.seed) as opened:
        started, bound = wall(), lower_bound(options.limit, job.spec.input.limit)
        admission = take_in(opened, bound, started, accept=options.accept_change)
        check_outputs(job, opened.reader, output_directory(job, directory, emulated=target == EMULATED))
        pending = opened.reader.count_pending(bound)
        if not pending:
            summary = known_outputs(directory, opened.reader, export_mark(opened)) or export_all(opened)
            never = opened.reader.count_never_sent()
            return Result(summary, directory, bound is not None, admission, nothing_to_do=True, never_sent=never)
        client = client_for(options)
        died = opened.store.begin_epoch()
        observe(Started(pending, opened.reader.count_in_flight()))
        posts, stopped = run_async(carry_all(opened, client, bound, wall, observe))
        with stopping_at_once():  # the loop has reset the handlers
            summary = export_all(opened, posts=posts, elapsed=wall() - started)
        never = opened.reader.count_never_sent()
    return Result(summary, directory, bound is not None, admission, died, never_sent=never, stopped_by=stopped)


def lower_bound(*limits: int | None) -> int | None:
    """The lowest of the limits that are given, None without any."""
    return min((limit for limit in limits if limit is not None), default=None)


def client_for(options: Options) -> Client:
    """A client for the chosen service. Raises CredentialError."""
    if options.emulator is not None:
        return emulated_client(options.emulator, options.version)
    return remote_client(options.base_url, options.version)


def emulator_settings(
    job: Job, chosen: Path | None, latency: str, faults: str | None, replies: str = "synthetic"
) -> EmulatorSettings:
    """An emulator that remembers its interactions in the run directory, so that rehearsals resume. Raises SpecError."""
    directory = run_dir(job, chosen, emulated=True)
    return EmulatorSettings(
        latency=parse_latency(latency),
        faults=load_faults(faults) if faults else (),
        replies=load_replies(replies),
        ledger=directory.emulator_ledger,
        state=directory.emulator_state,
        foreign_signatures=True,  # rows may bring the service's own steps along, and it would know their signatures
    )


def retry(
    job: Job, directory: RunDir, outcomes: list[str], keys: list[str], at: float, *, from_start: bool = False
) -> tuple[int, str]:
    """Make ended rows pending again: what failed will be billed anew. Returns how many, and the run's target."""
    with Reader(directory.checkpoint) as reader:
        target = reader.meta("target") or ""
    with open_run(job, directory, target) as opened:
        return opened.store.reopen(outcomes, keys, at, from_start=from_start), target


def export_all(opened: OpenRun, *, posts: int = 0, elapsed: float = 0.0) -> Summary:
    """Write the outputs, and remember of what they are, so that stale ones are never taken for done."""
    summary = write_outputs(opened.job, opened.directory, opened.reader, posts=posts, elapsed=elapsed)
    opened.store.set_meta(exported=export_mark(opened))
    return summary


def export_mark(opened: OpenRun) -> str:
    """Changes with whatever the output files are made of: the version, the job's wishes, the rows and attempts."""
    return f"{__version__} {opened.job.spec.output.model_dump_json()} {opened.reader.state_mark()}"


def write_outputs(job: Job, directory: RunDir, reader: Reader, *, posts: int = 0, elapsed: float = 0.0) -> Summary:
    """Make the output files and `run.json` from the checkpoint. Raises StoreError, InvariantError."""
    emulated = reader.meta("target") == EMULATED
    context = context_of(job, reader, directory.media, emulated=emulated)
    with reader.snapshot():
        outputs = export(reader, output_directory(job, directory, emulated=emulated), context)
        hashes = hashes_of(outputs)
        summary = summarize(reader, posts=posts, elapsed=elapsed, outputs=outputs, hashes=hashes)
    check_written(outputs, rows=summary.rows, attempts=summary.attempts)
    summary.write(directory.summary)
    return summary
