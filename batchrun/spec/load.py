"""From a job file to a Job: everything in it checked and compiled, every error with its file, line and key."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from batchrun.errors import SpecError
from batchrun.rows import InputFile
from batchrun.spec.asking import RequestSpec
from batchrun.spec.canonical import sha256_of
from batchrun.spec.compiling import Complaints, check_sources, compiled
from batchrun.spec.dating import ANY, Dates, fill_in, refuse_dates
from batchrun.spec.explain import explained
from batchrun.spec.functions import Function, Transform
from batchrun.spec.graph import Graph
from batchrun.spec.idle import idle_settings
from batchrun.spec.judging.schemas import OutputSchema
from batchrun.spec.model import JobSpec
from batchrun.spec.piping import check_stage, graph_of, transform_of
from batchrun.spec.reading.credentials import key_paths
from batchrun.spec.reading.documents import Document, joined, read_document
from batchrun.spec.reading.overrides import override
from batchrun.spec.rendering.templates import Condition
from batchrun.spec.requests import RequestTemplate
from batchrun.spec.stages import StageSpec


@dataclass(frozen=True)
class Job:
    """A job file that can run, or one stage of it. Paths in it are relative to `base`, the directory of the file.

    A job of stages has a `graph` of them, and in `stages` each as a job of its own: named `stage`, with what the file
    says of it in `stage_spec`, and a `transform` where it asks for nothing. All other jobs have none of these.
    """

    spec: JobSpec
    path: Path
    base: Path
    request: RequestTemplate
    functions: tuple[Function, ...] = ()
    warnings: tuple[str, ...] = ()
    """What the service may ignore or refuse, and what does nothing here, a line for each, with file, line and key."""
    stage: str = ""
    stage_spec: StageSpec | None = None
    transform: Transform | None = None
    graph: Graph | None = None
    stages: Mapping[str, Job] = field(default_factory=lambda: MappingProxyType({}))
    dates: Dates | None = None
    """Those of the slot that it is loaded for."""
    dates_read: frozenset[str] = frozenset()
    """Which of them its templates read as bare names."""
    taken: tuple[InputFile, ...] | None = None
    """The files that its slot has taken of the input, with `input.new_only`; else all are meant."""
    notes: tuple[str, ...] = ()
    """What is to be told of these files, a line for each."""

    @cached_property
    def when(self) -> Condition | None:
        """The condition on which a row of the stage is carried."""
        source = self.stage_spec and self.stage_spec.when
        return Condition(source) if source else None

    @property
    def schema(self) -> OutputSchema | None:
        """The schema of a row's answer, None where any text will do."""
        return self.request.schema

    def of(self, stage: str) -> Job:
        """The job that the rows of a stage are of."""
        return self.stages.get(stage, self)

    @property
    def each(self) -> tuple[Job, ...]:
        """Its stages in their order; itself if it has none."""
        return tuple(self.stages[name] for name in self.graph) if self.graph else (self,)

    @property
    def asking(self) -> tuple[Job, ...]:
        """Those of them that ask the service."""
        return tuple(job for job in self.each if job.transform is None)

    @property
    def values(self) -> dict[str, Any]:
        """What decides what is sent, as it is written or by what it names; in a pipeline also how rows are made."""
        if self.graph is None:
            return self.request.values
        each = {f"stages.{job.stage}.{name}": value for job in self.each for name, value in job.stage_values.items()}
        return each | {f"stages.{name}.continued": True for name in sorted(self.graph.continued)}

    @property
    def stage_values(self) -> dict[str, Any]:
        """The same of a stage alone."""
        asked = {} if self.transform else {f"request.{name}": value for name, value in self.request.values.items()}
        return self.making | asked

    @property
    def making(self) -> dict[str, Any]:
        """How a stage's rows are made, whatever they are asked."""
        assert self.stage_spec is not None
        made = self.stage_spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_NOT_MAKING)
        return made | ({"code": self.transform.sha} if self.transform else {})

    @property
    def parts(self) -> dict[str, str]:
        """For each of `values`, a short hash."""
        if self.graph is None:
            return self.request.parts
        return {name: sha256_of(value)[:12] for name, value in self.values.items()}

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 over all that decides what is sent, schemas and the code of transforms included."""
        return self.request.fingerprint if self.graph is None else sha256_of(self.values)


_NOT_MAKING = {"request", "limits", "poll", "retry", "timeout"}


def load_job(path: Path, overrides: Sequence[str] = (), dates: Dates | None = None) -> Job:
    """Read, check and compile a job file. Raises SpecError, a line for each thing that is wrong.

    `overrides` are `dotted.key=value` with the value in YAML; they replace what the file says. A job with a schedule
    can only run with the `dates` of a slot.
    """
    document = read_document(path)
    override(document, overrides)
    spec, told, read = _checked(document), Complaints(document), frozenset[str]()
    if spec.schedule is not None:
        read = fill_in(spec, dates or ANY, told)
        spec = _checked(document)
    else:
        refuse_dates(told)
    if spec.input.where is not None:
        check_sources([(("input", "where"), Condition, spec.input.where)], spec.request, told, ("request",))
    base = base_of(path)
    job = _single(spec, path, base, told) if spec.stages is None else _pipeline(spec, path, base, told)
    if told.problems or job is None:
        raise SpecError(joined(told.problems))
    return replace(job, dates=dates, dates_read=read) if spec.schedule else job


def scheduled_spec(path: Path, overrides: Sequence[str] = ()) -> JobSpec | None:
    """What a job file with a schedule says; None for any other file. Raises SpecError.

    Only this one file is read: neither what it names, nor any Python of it. So it may be wrong all the same.
    """
    document = read_document(path)
    if not isinstance(document.data, dict) or not document.data.get("schedule"):
        return None
    override(document, overrides)
    return _checked(document)


def base_of(path: Path) -> Path:
    """The directory that the paths in a job file are relative to."""
    return without_dots(path.absolute().parent)


def _single(spec: JobSpec, path: Path, base: Path, told: Complaints) -> Job | None:
    request, functions = compiled(spec.request, base, told, ("request",))
    if request is None or told.problems:
        return None
    told.hear(idle_settings(spec), ("request",))
    return Job(spec, path, base, request, functions, tuple(told.warnings))


def _pipeline(spec: JobSpec, path: Path, base: Path, told: Complaints) -> Job | None:
    filled = {name: _filled_in(stage, spec.request) for name, stage in (spec.stages or {}).items()}
    graph = graph_of(filled, told)
    stages = {job.stage: job for job in _stages(spec, filled, path, base, told)}
    if graph is None:
        return None
    for name, stage in filled.items():
        check_stage(graph, name, stage, told)
    if told.problems:
        return None
    plain = spec.model_copy(update={"request": RequestSpec()})
    told.hear((found for found in idle_settings(plain) if found.path[0] != "request"), ())
    return Job(
        plain,
        path,
        base,
        RequestTemplate(RequestSpec(), [None]),
        warnings=tuple(dict.fromkeys(told.warnings)),
        graph=graph,
        stages=stages,
    )


def _with_policies(spec: JobSpec, stage: StageSpec) -> JobSpec:
    """A stage's spec, with what the stage says itself of waiting and trying again."""
    poll, retry, ambiguous = spec.poll, spec.retry, spec.retry.ambiguous
    if stage.poll.deadline is not None:
        poll = poll.model_copy(update={"deadline": stage.poll.deadline})
    if stage.retry.ambiguous is not None:
        ambiguous = ambiguous.model_copy(update=dict.fromkeys(("model", "agent"), stage.retry.ambiguous))
    attempts = stage.retry.attempts or retry.attempts
    retry = retry.model_copy(update={"attempts": attempts, "ambiguous": ambiguous})
    return spec.model_copy(update={"poll": poll, "retry": retry})


def _filled_in(stage: StageSpec, defaults: RequestSpec) -> StageSpec:
    if stage.request is None:
        return stage
    return stage.model_copy(update={"request": stage.request.filled_in(defaults)})


def _stages(spec: JobSpec, stages: Mapping[str, StageSpec], path: Path, base: Path, told: Complaints) -> Iterator[Job]:
    """Each stage as a job of its own, as far as it can be compiled."""
    for name, stage in stages.items():
        where, asked = ("stages", name, "request"), stage.request or RequestSpec()
        own = _with_policies(spec.model_copy(update={"request": asked, "stages": None}), stage)
        request, functions = compiled(asked, base, told, where)
        transform = transform_of(stage, name, base, told)
        if request is not None and not told.problems:
            idle = (found for found in idle_settings(own) if found.path[0] == "request")
            told.hear(idle if stage.request else (), where)
            yield Job(own, path, base, request, functions, (), name, stage, transform)


def without_dots(path: Path) -> Path:
    """The same place by a path without `..`, which goes through symbolic links as the system does."""
    return Path(os.path.realpath(path)) if ".." in path.parts else path


def _checked(document: Document) -> JobSpec:
    _refuse_keys(document)
    if not isinstance(document.data, dict):
        raise SpecError(f"{document.name}: a job file is a mapping with the keys name, input and request")
    try:
        return JobSpec.model_validate(document.data)
    except ValidationError as error:
        raise SpecError(joined(explained(document, error))) from None


def _refuse_keys(document: Document) -> None:
    advice = "an API key does not belong in a job file; remove it and set GEMINI_API_KEY in the environment"
    if found := [document.problem(path, advice) for path in key_paths(document.data)]:
        raise SpecError(joined(found))
