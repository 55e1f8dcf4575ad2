"""A request section compiled: its templates, schemas and functions, and what is to be said about it.

Key paths of findings begin with `request`; in a pipeline that section is inside its stage, so `where` it is, is passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from batchrun.errors import SpecError
from batchrun.spec.asking import RequestSpec, Turn, text_format_of
from batchrun.spec.functions import Function, load_functions
from batchrun.spec.judging.schemas import OutputSchema
from batchrun.spec.parts import MediaPart, TextPart
from batchrun.spec.reading.documents import Document
from batchrun.spec.reading.positions import KeyPath
from batchrun.spec.references import resolve_schema
from batchrun.spec.rendering.templates import Condition, Template, last_index_of, needs
from batchrun.spec.requests import RequestTemplate
from batchrun.spec.service.refused import findings
from batchrun.spec.service.shapes import Finding

Source = tuple[KeyPath, type[Template] | type[Condition], str]


@dataclass
class Complaints:
    """What is wrong in a job file, and what is to be warned of: lines with file, line and key."""

    document: Document
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def refuse(self, path: KeyPath, said: str) -> None:
        self.problems.append(self.document.problem(path, said))

    def hear(self, found: Iterable[Finding], where: KeyPath) -> None:
        """Findings of a section `request` that stands at `where`."""
        for each in found:
            said = self.document.problem(placed(each.path, where), each.message)
            (self.problems if each.refused else self.warnings).append(said)


def placed(path: KeyPath, where: KeyPath) -> KeyPath:
    """A key path that begins with `request`, where that section stands."""
    return (*where, *path[1:]) if path[:1] == ("request",) else path


def compiled(
    request: RequestSpec, base: Path, told: Complaints, where: KeyPath
) -> tuple[RequestTemplate | None, tuple[Function, ...]]:
    """The section's templates and functions. None where something is wrong; then it is told."""
    wrong = len(told.problems)
    check_sources(request_sources(request), request, told, where)
    schemas = _schemas(request, base, told, where)
    functions = _functions(request, base, told, where)
    told.hear(findings(request, schemas, [function.name for function in functions]), where)
    if len(told.problems) > wrong:
        return None, functions
    return RequestTemplate(request, schemas, [function.declaration for function in functions]), functions


def check_sources(sources: Iterable[Source], request: RequestSpec, told: Complaints, where: KeyPath) -> None:
    """Compile templates and conditions, to see whether that can be done."""
    for path, kind, source in sources:
        try:
            kind(source)
        except SpecError as error:
            told.refuse(placed(path, where), str(error))
            continue
        for said in _too_early(request, path, source):
            told.refuse(placed(path, where), said)


def _schemas(request: RequestSpec, base: Path, told: Complaints, where: KeyPath) -> list[OutputSchema | None]:
    """The schema of each turn; one that a turn does not replace is the request's."""
    whole = _schema(where, request.response_format, base, told)
    return [
        _schema((*where, "turns", number), turn.response_format, base, told)
        if isinstance(turn, Turn) and turn.response_format is not None
        else whole
        for number, turn in enumerate(request.turns or [None])
    ]


def _schema(where: KeyPath, formats: object, base: Path, told: Complaints) -> OutputSchema | None:
    answer = text_format_of(formats)
    if answer is None or answer.json_schema is None:
        return None
    index = (formats.index(answer),) if isinstance(formats, list) else ()
    try:
        return resolve_schema(answer.json_schema, base)
    except SpecError as error:
        told.refuse((*where, "response_format", *index, "schema"), str(error))
        return None


def _functions(request: RequestSpec, base: Path, told: Complaints, where: KeyPath) -> tuple[Function, ...]:
    try:
        return load_functions(request.references, base) if request.references else ()
    except SpecError as error:
        told.refuse((*where, "functions"), str(error))
        return ()


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


def request_sources(request: RequestSpec) -> Iterator[Source]:
    """Every template of a request, with its place."""
    yield from _system(("request",), request.system_instruction)
    yield from _input(("request", "input"), request.input)
    for number, turn in enumerate(request.turns or []):
        path = ("request", "turns", number)
        if isinstance(turn, Turn):
            yield from _system(path, turn.system_instruction)
            yield from _input((*path, "input"), turn.input)
        else:
            yield from _input(path, turn)


def _system(path: KeyPath, source: str | None) -> Iterator[Source]:
    if source is not None:
        yield (*path, "system_instruction"), Template, source


def _input(path: KeyPath, written: str | list[TextPart | MediaPart] | None) -> Iterator[Source]:
    if isinstance(written, str):
        yield path, Template, written
    for index, part in enumerate(written if isinstance(written, list) else []):
        for name in ("text", "path", "uri", "pages"):
            if (source := getattr(part, name, None)) is not None:
                yield (*path, index, name), Template, source
