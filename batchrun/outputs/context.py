"""What the output files say about a run, and which of them, and of their columns, its job asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchrun.spec.asking import RequestSpec
from batchrun.spec.load import Job
from batchrun.spec.service.targets import CITING, tool_type
from batchrun.store.columns import has_column
from batchrun.store.reader import Reader
from batchrun.version import __version__


@dataclass(frozen=True)
class StageContext:
    """What a stage's table says. `schema` is its answers' JSON Schema; a transform's columns are those of its outputs.

    `outputs` are the stages before it whose outputs a joined table has, with their schemas (None for text); of a
    transform that is `{}`, which anything fits.
    """

    name: str
    schema: dict[str, Any] | None
    schema_sha: str | None = None
    extras: tuple[str, ...] = ()
    transforms: bool = False
    outputs: Mapping[str, dict[str, Any] | None] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportContext:
    """`schema` is the answer's JSON Schema, `columns` the input columns wanted, `extras` those of results.EXTRAS.

    `searches` is true if the run may search, so that its queries are to be counted. `media` is the directory where
    the run keeps the media of its answers. A job of `stages` has a table for each of them, and the results are the rows
    of the one called `last`.
    """

    job: str
    run_id: str
    version: str
    schema: dict[str, Any] | None
    columns: tuple[str, ...]
    jsonl: bool
    emulated: bool
    schema_sha: str | None = None
    request_sha: str | None = None
    extras: tuple[str, ...] = ()
    citations: bool = False
    steps: bool = False
    searches: bool = False
    media: Path | None = None
    stages: tuple[StageContext, ...] = ()
    last: str = ""

    @property
    def tables(self) -> tuple[StageContext, ...]:
        """The stages; a job without them is one without a name."""
        return self.stages or (StageContext("", self.schema, self.schema_sha, self.extras),)


def context_of(job: Job, reader: Reader, media: Path, *, emulated: bool) -> ExportContext:
    """The context of a job's run."""
    output, tools = job.spec.output, {tool for each in job.asking for tool in _tools(each.spec.request)}
    requests = [each.spec.request for each in job.asking]
    anything = any(request.model is None or has_column(reader.connection, request.column) for request in requests)
    last = last_stage(job)
    shown = job.of(last)
    return ExportContext(
        job=job.spec.name,
        run_id=reader.meta("run_id") or "",
        version=__version__,
        schema=shown.schema.schema if shown.schema else None,
        columns=tuple(output.columns),
        jsonl=output.jsonl,
        emulated=emulated,
        schema_sha=shown.schema.sha if shown.schema else None,
        request_sha=reader.meta("request"),
        extras=tuple(_extras(shown)),
        citations=output.citations if output.citations is not None else anything or not tools.isdisjoint(CITING),
        steps=output.steps,
        searches=anything or "google_search" in tools,
        media=media,
        stages=tuple(_stage(job, each) for each in job.each) if job.graph else (),
        last=last,
    )


def last_stage(job: Job) -> str:
    """The stage whose rows are the results; "" in a job without stages."""
    return "" if job.graph is None else job.spec.output.stage or job.graph.last[-1]


def _stage(job: Job, stage: Job) -> StageContext:
    assert job.graph is not None
    batch = stage.stage_spec is not None and stage.stage_spec.batch is not None
    before = {} if batch else {name: job.of(name) for name in job.graph.seen(stage.stage)}
    outputs = {name: _output_schema(each) for name, each in before.items()}
    return StageContext(
        stage.stage,
        stage.schema.schema if stage.schema else None,
        stage.schema.sha if stage.schema else None,
        tuple(_extras(stage)) if stage.transform is None else (),
        stage.transform is not None,
        outputs,
    )


def _output_schema(stage: Job) -> dict[str, Any] | None:
    if stage.transform is not None:
        return {}
    return stage.schema.schema if stage.schema else None


def _extras(job: Job) -> Iterator[str]:
    request = job.spec.request
    if job.spec.output.thoughts:
        yield "thoughts"
    if request.turns is not None:
        yield "answers"
    if job.request.reads_files:
        yield "files"
    if request.model is None:  # an agent, or rows that may each name one
        yield "environment_id"


def _tools(request: RequestSpec) -> Iterator[str]:
    """The kinds of the service's tools that any turn has."""
    for turn in request.each_turn():
        yield from map(tool_type, turn.tools or ())
