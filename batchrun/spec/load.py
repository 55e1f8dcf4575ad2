"""From a job file to a Job: everything in it checked and compiled, every error with its file, line and key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from batchrun.errors import SpecError
from batchrun.spec.credentials import key_paths
from batchrun.spec.documents import Document, joined, read_document
from batchrun.spec.explain import explained
from batchrun.spec.model import JobSpec, TextPart
from batchrun.spec.overrides import override
from batchrun.spec.positions import KeyPath
from batchrun.spec.references import resolve_schema
from batchrun.spec.requests import RequestTemplate
from batchrun.spec.schemas import OutputSchema
from batchrun.spec.templates import Condition, Template


@dataclass(frozen=True)
class Job:
    """A job file that can run. Paths in it are relative to `base`, the absolute directory of the file."""

    spec: JobSpec
    path: Path
    base: Path
    schema: OutputSchema | None
    request: RequestTemplate


def load_job(path: Path, overrides: Sequence[str] = ()) -> Job:
    """Read, check and compile a job file. Raises SpecError, a line for each thing that is wrong.

    `overrides` are `dotted.key=value` with the value in YAML; they replace what the file says.
    """
    document = read_document(path)
    override(document, overrides)
    spec = _checked(document)
    base = path.absolute().parent
    problems = [document.problem(*found) for found in _template_problems(spec)]
    schema = _schema(document, spec, base, problems)
    if problems:
        raise SpecError(joined(problems))
    return Job(spec, path, base, schema, RequestTemplate(spec.request, schema))


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


def _schema(document: Document, spec: JobSpec, base: Path, problems: list[str]) -> OutputSchema | None:
    answer = spec.request.response_format
    if answer is None or answer.json_schema is None:
        return None
    try:
        return resolve_schema(answer.json_schema, base)
    except SpecError as error:
        problems.append(document.problem(("request", "response_format", "schema"), str(error)))
        return None


def _template_problems(spec: JobSpec) -> Iterator[tuple[KeyPath, str]]:
    for path, kind, source in _sources(spec):
        try:
            kind(source)
        except SpecError as error:
            yield path, str(error)


def _sources(spec: JobSpec) -> Iterator[tuple[KeyPath, type[Template] | type[Condition], str]]:
    request = spec.request
    if spec.input.where is not None:
        yield ("input", "where"), Condition, spec.input.where
    if request.system_instruction is not None:
        yield ("request", "system_instruction"), Template, request.system_instruction
    if isinstance(request.input, str):
        yield ("request", "input"), Template, request.input
    for index, part in enumerate(request.input if isinstance(request.input, list) else []):
        name, source = ("text", part.text) if isinstance(part, TextPart) else ("path", part.path)
        yield ("request", "input", index, name), Template, source
