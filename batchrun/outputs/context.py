"""What the output files say about a run, and which of them, and of their columns, its job asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchrun.spec.asking import RequestSpec
from batchrun.spec.load import Job
from batchrun.spec.service.targets import CITING, tool_type
from batchrun.store.reader import Reader
from batchrun.version import __version__


@dataclass(frozen=True)
class ExportContext:
    """`schema` is the answer's JSON Schema, `columns` the input columns wanted, `extras` those of results.EXTRAS.

    `searches` is true if the run may search, so that its queries are to be counted. `media` is the directory where
    the run keeps the media of its answers.
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


def context_of(job: Job, reader: Reader, media: Path, *, emulated: bool) -> ExportContext:
    """The context of a job's run."""
    output, tools = job.spec.output, set(_tools(job.spec.request))
    anything = job.spec.request.model is None or reader.has_column(job.spec.request.column)
    return ExportContext(
        job=job.spec.name,
        run_id=reader.meta("run_id") or "",
        version=__version__,
        schema=job.schema.schema if job.schema else None,
        columns=tuple(output.columns),
        jsonl=output.jsonl,
        emulated=emulated,
        schema_sha=job.schema.sha if job.schema else None,
        request_sha=reader.meta("request"),
        extras=tuple(_extras(job)),
        citations=output.citations if output.citations is not None else anything or not tools.isdisjoint(CITING),
        steps=output.steps,
        searches=anything or "google_search" in tools,
        media=media,
    )


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
