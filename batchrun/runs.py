"""What `run`, `retry` and `export` do: the parts of a run put together, from the job file to the output files."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import uvloop

from batchrun.clock import wall_clock
from batchrun.emulator import EmulatorSettings, load_faults, load_replies, parse_latency
from batchrun.engine.attempt import Work
from batchrun.engine.bodies import Bodies
from batchrun.engine.conversation import Ask, Check, Exchange
from batchrun.engine.engine import Engine, ignore
from batchrun.engine.events import Observer, Started
from batchrun.engine.request import Prepared, prepare, script_of
from batchrun.errors import Exit, RowError, RunError
from batchrun.inputs.read import fingerprint, read_rows
from batchrun.interactions.client import DEFAULT_BASE_URL, Client
from batchrun.outputs.export import ExportContext, check_written, export
from batchrun.outputs.fitting import misfits
from batchrun.outputs.shapes import shape_of
from batchrun.outputs.summary import Summary
from batchrun.preflight import check_outputs, output_directory
from batchrun.reports import known_outputs, summarize
from batchrun.rundir import EMULATED, RunDir, identify, run_dir
from batchrun.service import api_key, checked_base_url, emulated_client, remote_client
from batchrun.signals import stop_gently, stopping_at_once
from batchrun.spec.load import Job
from batchrun.store.admission import Admission, admit
from batchrun.store.lock import RunLock
from batchrun.store.reader import Reader
from batchrun.store.records import RowRecord
from batchrun.store.store import Store
from batchrun.tools import Toolbox
from batchrun.version import __version__

T = TypeVar("T")

#: The POSTs that were made, and what stopped the run if anything did.
Carried = tuple[int, RunError | None]


@dataclass(frozen=True)
class Options:
    """What the command line adds to a job. `emulator` runs the service in this process; None calls `base_url`."""

    run_dir: Path | None = None
    base_url: str = DEFAULT_BASE_URL
    version: str = "v1beta"
    emulator: EmulatorSettings | None = None
    limit: int | None = None
    seed: int | None = None


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
        admission = take_in(opened, bound, started)
        check_outputs(job, opened.reader, output_directory(job, directory, emulated=target == EMULATED))
        pending = opened.reader.count_pending(bound)
        if not pending:
            summary = known_outputs(directory, opened.reader, export_mark(opened)) or export_all(opened)
            never = opened.reader.count_never_sent()
            return Result(summary, directory, bound is not None, admission, nothing_to_do=True, never_sent=never)
        client = client_for(options)
        died = opened.store.begin_epoch()
        observe(Started(pending, opened.reader.count_in_flight()))
        posts, stopped = run_async(_carry_all(opened, client, bound, wall, observe))
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


def take_in(opened: OpenRun, bound: int | None, at: float) -> Admission | None:
    """Read the first `bound` rows into the checkpoint, unless they are there already (None). Raises SpecError."""
    spec, store = opened.job.spec.input, opened.store
    mark = fingerprint(spec, opened.job.base)
    known, known_bound = store.meta("input"), store.meta("input_bound")
    found = None
    if mark is None or mark != known or (known_bound and (bound is None or bound > int(known_bound))):
        rows = read_rows(spec, opened.job.base, limit=bound)
        found = admit(store, rows, at, named=spec.key is not None, complete=bound is None)
        store.set_meta(input=mark, input_bound=None if bound is None else str(bound))
    return found


async def _carry_all(
    opened: OpenRun, client: Client, limit: int | None, wall: Callable[[], float], observe: Observer
) -> Carried:
    """Run the engine under this process's signals. Returns the POSTs made, and what stopped it if anything did."""
    work = work_of(opened)
    engine = Engine(work, opened.store, opened.reader, client, wall, opened.random, observe)
    stop_gently(engine)
    try:
        await engine.run(limit)
    except RunError as error:
        return engine.submitter.posts, error
    finally:
        await client.aclose()
    return engine.submitter.posts, None


def work_of(opened: OpenRun) -> Work:
    """The job as the engine sees it."""
    job, tally = opened.job, opened.reader.tally()
    calling = job.spec.request.function_calling

    def prepared(row: RowRecord, exchanges: Sequence[Exchange], ask: Ask) -> Prepared:
        if row.data is None:
            raise RowError("bad_input", f"{row.source}: this row cannot be read")
        script = script_of(job, row.data)
        return prepare(Bodies(job, row.data, script, opened.directory.media), exchanges, ask)

    return Work(
        job.spec,
        opened.run_id,
        prepared,
        blocking=job.request.reads_files,
        check_for=checks_of(job),
        script_for=lambda row: script_of(job, row.data or {}),
        media=opened.directory.media,
        rows=sum(tally.outcomes.values()),
        resubmits=tally.resubmits,
        toolbox=Toolbox(job.functions, timeout=calling.timeout) if job.functions else None,
    )


def checks_of(job: Job) -> Callable[[RowRecord], Check | None]:
    """What judges an answer: its schema (the job's, or the row's own), then what the columns can hold."""
    shape = shape_of(job.schema.schema) if job.schema else None

    def check_for(row: RowRecord) -> Check | None:
        schema = job.request.schema_for(row.data or {})
        if schema is None:
            return None
        if shape is None or schema is not job.schema:
            return schema.problems
        return lambda answer: schema.problems(answer) or misfits(answer, shape)

    return check_for


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


def retry(job: Job, directory: RunDir, outcomes: list[str], keys: list[str], at: float) -> tuple[int, str]:
    """Make ended rows pending again; each will be a new, billed interaction. Returns how many, and the run's target."""
    with Reader(directory.checkpoint) as reader:
        target = reader.meta("target") or ""
    with open_run(job, directory, target) as opened:
        return opened.store.reopen(outcomes, keys, at), target


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
    context = ExportContext(
        job=job.spec.name,
        run_id=reader.meta("run_id") or "",
        version=__version__,
        schema=job.schema.schema if job.schema else None,
        columns=tuple(job.spec.output.columns),
        jsonl=job.spec.output.jsonl,
        emulated=emulated,
        schema_sha=job.schema.sha if job.schema else None,
        request_sha=reader.meta("request"),
    )
    with reader.snapshot():
        outputs = export(reader, output_directory(job, directory, emulated=emulated), context)
        summary = summarize(reader, posts=posts, elapsed=elapsed, outputs=outputs)
    check_written(outputs, rows=summary.rows, attempts=summary.attempts)
    summary.write(directory.summary)
    return summary
