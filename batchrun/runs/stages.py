"""The stages of an open run as the engine sees them; a job without stages is one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing

from batchrun.engine.attempt import Stage
from batchrun.engine.bodies import Bodies
from batchrun.engine.budget import Budget
from batchrun.engine.conversation import Ask, Check, Exchange
from batchrun.engine.media import Media, library_of
from batchrun.engine.request import Draft, Request, next_request, script_of
from batchrun.engine.uploads import Uploads
from batchrun.errors import RowError
from batchrun.interactions.fetching import Fetcher
from batchrun.interactions.models import Interaction, storable
from batchrun.outputs.answers import parse_answer
from batchrun.outputs.fitting import misfits
from batchrun.outputs.shapes import shape_of
from batchrun.runs.opening import OpenRun
from batchrun.runs.pipeline import Pipeline
from batchrun.spec.load import Job
from batchrun.spec.stages import INPUT, StageLimitsSpec
from batchrun.store.reader import Reader
from batchrun.store.records import RowRecord
from batchrun.tools import Toolbox
from batchrun.tools.transforms import Transformed


def stage_of(
    opened: OpenRun, job: Job, whole: Pipeline | None, uploads: Uploads, budget: Budget | None, *, waits: bool
) -> Stage:
    """A job, or a stage of the `whole`, as the engine sees it. `waits` is for a client whose POSTs bring the answer."""
    request, spec = job.spec.request, job.stage_spec
    fetcher = Fetcher(frozenset(host.lower() for host in request.fetch))
    return Stage(
        job.stage,
        job.spec,
        requests_of(opened, job, whole),
        Media(library_of(job), request.inline_limit, uploads, fetcher, opened.directory.path, job.stage),
        check_for=checks_of(job),
        script_for=lambda row: script_of(job, row.data or {}),
        waits=waits or not request.store,
        toolbox=Toolbox(job.functions, timeout=request.function_calling.timeout) if job.functions else None,
        transform=transform_of(opened, job, whole) if whole and job.transform else None,
        timeout=spec.timeout if spec else 0.0,
        limits=spec.limits if spec else StageLimitsSpec(),
        budget=budget,
        follows=whole is not None and whole.graph.before(job.stage) != (INPUT,),
        output_of=outputs_of(job) if spec else None,
    )


def requests_of(
    opened: OpenRun, job: Job, whole: Pipeline | None
) -> Callable[[RowRecord, Sequence[Exchange], Ask], Request | Draft]:
    """What makes a row's next request. It raises RowError."""
    media = opened.directory.media
    shown = whole.showing(opened.reader.connection) if whole else None

    def next_of(row: RowRecord, exchanges: Sequence[Exchange], ask: Ask) -> Request | Draft:
        if row.data is None:
            raise RowError("bad_input", f"{row.source}: this row cannot be read")
        data = row.data if shown is None else shown(row.key, row.data)
        return next_request(Bodies(job, data, script_of(job, data), media), exchanges, ask)

    return next_of


def transform_of(opened: OpenRun, job: Job, whole: Pipeline) -> Callable[[RowRecord], Transformed]:
    """What does a row's transform, in whatever thread. Rows of a batch are read while it goes on."""

    def of_row(row: RowRecord) -> Transformed:
        return whole.transformed(row.key, dict(row.data or {}))

    def of_batch(row: RowRecord) -> Transformed:
        with closing(Reader(opened.directory.checkpoint)) as reader:  # a connection of this thread
            return whole.transformed(row.key, whole.given(row.key, {}, reader.connection))

    return of_row if whole.graph.stages[job.stage].batch is None else of_batch


def outputs_of(job: Job) -> Callable[[RowRecord, Interaction], str]:
    """What makes of a row's answer its output for other stages, as JSON. Text is what the results show of it."""

    def output_of(row: RowRecord, answer: Interaction) -> str:
        text = answer.output_text
        has_schema = job.request.schema_for(row.data or {}) is not None
        value = parse_answer(text or "") if has_schema else text and storable(text)
        told = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return told.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")  # half a pair is no character

    return output_of


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
