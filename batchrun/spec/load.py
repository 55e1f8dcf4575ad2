"""From a job file to a Job: everything in it checked and compiled, every error with its file, line and key."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from batchrun.errors import SpecError
from batchrun.spec.asking import RequestSpec, Turn, text_format_of
from batchrun.spec.explain import explained
from batchrun.spec.functions import Function, load_functions
from batchrun.spec.idle import idle_settings
from batchrun.spec.judging.schemas import OutputSchema
from batchrun.spec.model import JobSpec
from batchrun.spec.parts import MediaPart, TextPart
from batchrun.spec.reading.credentials import key_paths
from batchrun.spec.reading.documents import Document, joined, read_document
from batchrun.spec.reading.overrides import override
from batchrun.spec.reading.positions import KeyPath
from batchrun.spec.references import resolve_schema
from batchrun.spec.rendering.templates import Condition, Template, last_index_of, needs
from batchrun.spec.requests import RequestTemplate
from batchrun.spec.service.refused import findings


@dataclass(frozen=True)
class Job:
    """A job file that can run. Paths in it are relative to `base`, the absolute directory of the file."""

    spec: JobSpec
    path: Path
    base: Path
    request: RequestTemplate
    functions: tuple[Function, ...] = ()
    warnings: tuple[str, ...] = ()
    """What the service may ignore or refuse, and what does nothing here, a line for each, with file, line and key."""

    @property
    def schema(self) -> OutputSchema | None:
        """The schema of a row's answer, None where any text will do."""
        return self.request.schema


def load_job(path: Path, overrides: Sequence[str] = ()) -> Job:
    """Read, check and compile a job file. Raises SpecError, a line for each thing that is wrong.

    `overrides` are `dotted.key=value` with the value in YAML; they replace what the file says.
    """
    document = read_document(path)
    override(document, overrides)
    spec = _checked(document)
    base = without_dots(path.absolute().parent)
    problems = [document.problem(*found) for found in _template_problems(spec)]
    schemas = _schemas(document, spec.request, base, problems)
    functions = _functions(document, spec.request, base, problems)
    found = findings(spec.request, schemas, [function.name for function in functions])
    problems += [document.problem(each.path, each.message) for each in found if each.refused]
    if problems:
        raise SpecError(joined(problems))
    warned = [*(each for each in found if not each.refused), *idle_settings(spec)]
    warnings = tuple(document.problem(each.path, each.message) for each in warned)
    declared = [function.declaration for function in functions]
    return Job(spec, path, base, RequestTemplate(spec.request, schemas, declared), functions, warnings)


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


def _schemas(document: Document, request: RequestSpec, base: Path, problems: list[str]) -> list[OutputSchema | None]:
    """The schema of each turn; one that a turn does not replace is the request's."""
    whole = _schema(document, ("request",), request.response_format, base, problems)
    return [
        _schema(document, ("request", "turns", number), turn.response_format, base, problems)
        if isinstance(turn, Turn) and turn.response_format is not None
        else whole
        for number, turn in enumerate(request.turns or [None])
    ]


def _schema(
    document: Document, where: KeyPath, formats: object, base: Path, problems: list[str]
) -> OutputSchema | None:
    answer = text_format_of(formats)
    if answer is None or answer.json_schema is None:
        return None
    index = (formats.index(answer),) if isinstance(formats, list) else ()
    try:
        return resolve_schema(answer.json_schema, base)
    except SpecError as error:
        problems.append(document.problem((*where, "response_format", *index, "schema"), str(error)))
        return None


def _functions(document: Document, request: RequestSpec, base: Path, problems: list[str]) -> tuple[Function, ...]:
    try:
        return load_functions(request.references, base) if request.references else ()
    except SpecError as error:
        problems.append(document.problem(("request", "functions"), str(error)))
        return ()


def _template_problems(spec: JobSpec) -> Iterator[tuple[KeyPath, str]]:
    for path, kind, source in _sources(spec):
        try:
            kind(source)
        except SpecError as error:
            yield path, str(error)
            continue
        yield from ((path, said) for said in _too_early(spec.request, path, source))


def _too_early(request: RequestSpec, path: KeyPath, source: str) -> Iterator[str]:
    """Answers that a template reads before they are there. Without `turns`, `answers` is a column like others."""
    number = _turn_of(request, path)
    if number == 0 and needs("answers", source):
        yield "in the first turn there are no answers yet; a column of this name is row['answers']"
    elif number and number <= (asked := last_index_of("answers", source)):
        there = f"answers[0] to answers[{number - 1}]" if number > 1 else "answers[0]"
        yield f"`answers[{asked}]` is not there yet: of the turns before there is {there}"


def _turn_of(request: RequestSpec, path: KeyPath) -> int | None:
    """The first turn that a template is for; None where there are no turns, or for a template of no turn."""
    if path[:2] == ("request", "turns"):
        return int(path[2])
    first = request.turns[0] if request.turns else None
    own = isinstance(first, Turn) and first.system_instruction is not None
    return 0 if path == ("request", "system_instruction") and first is not None and not own else None


def _sources(spec: JobSpec) -> Iterator[tuple[KeyPath, type[Template] | type[Condition], str]]:
    if spec.input.where is not None:
        yield ("input", "where"), Condition, spec.input.where
    request = spec.request
    yield from _system(("request",), request.system_instruction)
    yield from _input(("request", "input"), request.input)
    for number, turn in enumerate(request.turns or []):
        path = ("request", "turns", number)
        if isinstance(turn, Turn):
            yield from _system(path, turn.system_instruction)
            yield from _input((*path, "input"), turn.input)
        else:
            yield from _input(path, turn)


def _system(path: KeyPath, source: str | None) -> Iterator[tuple[KeyPath, type[Template], str]]:
    if source is not None:
        yield (*path, "system_instruction"), Template, source


def _input(
    path: KeyPath, written: str | list[TextPart | MediaPart] | None
) -> Iterator[tuple[KeyPath, type[Template], str]]:
    if isinstance(written, str):
        yield path, Template, written
    for index, part in enumerate(written if isinstance(written, list) else []):
        for name in ("text", "path", "uri", "pages"):
            if (source := getattr(part, name, None)) is not None:
                yield (*path, index, name), Template, source
