"""From a row to the body of one create call. Pure: local files stay references until `inputs.media` reads them.

Fields of the job's `request` section fill in what a row's own request (the `request` column) leaves out, field by
field at the top level. `background`, `store` and `stream` never appear in a rendered body: they are the engine's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from batchrun.errors import RowError, SpecError
from batchrun.spec.asking import RequestSpec
from batchrun.spec.blocks import MediaRef, PartTemplate
from batchrun.spec.canonical import canonical_json, sha256_of
from batchrun.spec.formats import TextFormat
from batchrun.spec.judging.schemas import OutputSchema
from batchrun.spec.own_requests import check, own_request, refuse_engine_s
from batchrun.spec.rendering.templates import Template, lacks_a_column

_PASSED_THROUGH = (
    "generation_config", "agent_config", "environment", "labels", "safety_settings", "service_tier", "webhook_config",
)  # fmt: skip
_ONLY_FOR = {"generation_config": "model", "agent_config": "agent"}
#: Fields of the section that decide how rows are carried, not what is sent.
_NOT_SENT = {"store", "media_root", "turns", "function_calling", "approve", "inline_limit"}


@dataclass(frozen=True, slots=True)
class Rendered:
    """The body of a create call, without what the engine adds.

    `body["input"]` may hold MediaRef objects where `media` is true. Nested values are shared between rows: copy
    before changing them.
    """

    body: dict[str, Any]
    media: bool


class RequestTemplate:
    """The compiled `request` section: a template for each turn, one where there is only an `input`.

    `schemas` are those of the turns, `functions` the tools that declare the user's functions. Raises SpecError for a
    template that does not compile.
    """

    def __init__(
        self, spec: RequestSpec, schemas: Sequence[OutputSchema | None], functions: Sequence[dict[str, Any]] = ()
    ) -> None:
        each = zip(spec.each_turn(), schemas, strict=True)
        self.turns = tuple(TurnTemplate(turn, schema, functions) for turn, schema in each)
        self.reads_files = any(turn.reads_files for turn in self.turns)
        """Whether a request may hold the content of local files."""
        self.schema = self.turns[-1].schema
        """The schema of the last answer, which is the row's."""
        self.values = _joined(self.turns)
        """The parts of the section that decide what is sent, as they are written or by what they name."""
        self.parts = {name: sha256_of(value)[:12] for name, value in self.values.items()}
        """For each of them, a short hash."""
        self.fingerprint = self.turns[0].fingerprint if len(self.turns) == 1 else sha256_of(self.parts)
        """Hex SHA-256 over everything in the job file that decides what is sent, the schemas' content included."""
        self.columns = self.turns[0].columns.union(*(turn.columns - {"answers"} for turn in self.turns[1:]))
        """Columns the templates may read."""

    def render(self, row: Mapping[str, Any], turn: int = 0, answers: Sequence[str] = ()) -> Rendered:
        """The request for one turn of a row; `answers` are the texts of the turns before. Raises RowError."""
        return self.turns[turn].render({**row, "answers": list(answers)} if turn else row, first=turn == 0)

    def check_later_turns(self, row: Mapping[str, Any]) -> None:
        """Raises RowError if a later turn fails whatever the answers say: better now than after the first is paid.

        That is one that does not read them, or that needs a column which the row does not have.
        """
        for number, turn in enumerate(self.turns[1:], 1):
            try:
                self.render(row, number, [""] * number)
            except RowError as error:
                if not turn.reads_answers or lacks_a_column(error):
                    raise RowError(error.kind, f"turns[{number}]: {error}") from None

    def plain_fields(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a row's first request that are no templates. Raises RowError (`bad_request`)."""
        return self.turns[0].plain_fields(row)

    def schema_for(self, row: Mapping[str, Any]) -> OutputSchema | None:
        """The schema that the row's last answer must satisfy. Raises RowError (`bad_request`)."""
        return self.turns[-1].schema_for(row)


class TurnTemplate:
    """One compiled turn."""

    def __init__(
        self, spec: RequestSpec, schema: OutputSchema | None, functions: Sequence[dict[str, Any]] = ()
    ) -> None:
        self._spec = spec
        self._system = None if spec.system_instruction is None else Template(spec.system_instruction)
        self._input = _compiled_input(spec)
        self._fixed = _fixed_fields(spec, schema, functions)
        self.reads_files = isinstance(self._input, list) and any(part.reads_files for part in self._input)
        self.schema = schema
        self.values = _identity(spec, schema, functions)
        self.fingerprint = sha256_of(self.values)
        parts = self._input if isinstance(self._input, list) else [self._input]
        used = [each for each in (self._system, *parts) if each is not None]
        self.columns = frozenset[str]().union(*(each.columns for each in used))
        self.reads_answers = "answers" in self.columns or any(each.reads_row for each in used)
        """Whether what is sent may depend on earlier answers."""

    def render(self, row: Mapping[str, Any], *, first: bool = True) -> Rendered:
        """The request for one row. A row's own `input` is that of the first turn.

        Raises RowError: `template_error`; `bad_request` (the row's own request is not one, or asks for what batchrun
        decides); `no_input`; `no_model`; `bad_uri`; `bad_pages`.
        """
        own = self._own(row)
        if not first:
            own.pop("input", None)
        body = {**self._filled_in(own), **own}
        for name, template in (("system_instruction", self._system), ("input", self._input)):
            if template is not None and name not in own and (value := _rendered(template, row)):
                body[name] = value
        check(body, self._spec.column)
        return Rendered(body, "input" not in own and _has_media(body["input"]))

    def plain_fields(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that are no templates: the row's own, else the job's."""
        own = self._own(row)
        return {**self._filled_in(own), **own}

    def schema_for(self, row: Mapping[str, Any]) -> OutputSchema | None:
        """The schema that the row's answer must satisfy: that of its own `response_format`, else the job's.

        Raises RowError (`bad_request`) if the row's own is no schema.
        """
        own = self._own(row)
        if "response_format" not in own:
            return self.schema
        format_ = own["response_format"]
        schema = format_.get("schema") if isinstance(format_, dict) else None
        if not isinstance(schema, dict):
            return None
        try:
            return _compiled_schema(canonical_json(schema))
        except SpecError as error:
            said = f"the row's own request (column {self._spec.column!r}): its response_format.schema is no JSON Schema"
            raise RowError("bad_request", f"{said}: {error}") from None

    def _own(self, row: Mapping[str, Any]) -> dict[str, Any]:
        value = row.get(self._spec.column)
        if value is None:
            return {}
        return refuse_engine_s(own_request(value, self._spec.column), self._spec.column, store=self._spec.store)

    def _filled_in(self, own: dict[str, Any]) -> dict[str, Any]:
        kind = next((name for name in ("model", "agent") if name in own), None)
        if kind is None:
            return self._fixed
        other = {"model", "agent"} - {kind}
        return {
            name: value
            for name, value in self._fixed.items()
            if name not in {"model", "agent"} and _ONLY_FOR.get(name) not in other
        }


def tool_objects(tools: Sequence[str | dict[str, Any]]) -> list[dict[str, Any]]:
    """Tools as the API takes them; a plain name is short for its type."""
    return [{"type": tool} if isinstance(tool, str) else tool for tool in tools]


@lru_cache(maxsize=64)
def _compiled_schema(canonical: bytes) -> OutputSchema:
    return OutputSchema(json.loads(canonical))


def _compiled_input(spec: RequestSpec) -> Template | list[PartTemplate] | None:
    if not isinstance(spec.input, list):
        return None if spec.input is None else Template(spec.input)
    return [PartTemplate(part, frozenset(host.lower() for host in spec.fetch)) for part in spec.input]


def _rendered(template: Template | list[PartTemplate], row: Mapping[str, Any]) -> str | list[Any]:
    if isinstance(template, list):
        return [block for part in template for block in part.render(row)]
    return template.render(row)


def _has_media(blocks: Any) -> bool:
    return isinstance(blocks, list) and any(isinstance(block, MediaRef) for block in blocks)


def _fixed_fields(
    spec: RequestSpec, schema: OutputSchema | None, functions: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    fields: dict[str, Any] = {"model": spec.model, "agent": spec.agent}
    fields |= {name: getattr(spec, name) for name in _PASSED_THROUGH}
    fields["response_format"] = _response_format(spec, schema)
    if spec.tools is not None or functions:
        fields["tools"] = [*tool_objects(spec.tools or []), *functions]
    return {name: value for name, value in fields.items() if value is not None}


def _response_format(spec: RequestSpec, schema: OutputSchema | None) -> dict[str, Any] | list[dict[str, Any]] | None:
    formats = spec.response_format
    if formats is None:
        return None
    if isinstance(formats, list):
        return [_format(each, schema) for each in formats]
    return _format(formats, schema)


def _format(written: Any, schema: OutputSchema | None) -> dict[str, Any]:
    if not isinstance(written, TextFormat):
        body: dict[str, Any] = written.model_dump(mode="json", exclude_none=True)
        return body
    mime_type = written.mime_type or (schema and "application/json")
    body = {"type": written.type, "mime_type": mime_type, "schema": schema and schema.schema}
    return {name: value for name, value in body.items() if value is not None}


def _identity(
    spec: RequestSpec, schema: OutputSchema | None, functions: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    written = spec.model_dump(mode="json", exclude_defaults=True, exclude=_NOT_SENT)
    if spec.response_format is not None:
        written["response_format"] = _response_format(spec, schema)
    if not spec.store:
        written["store"] = False
    if functions:
        written["functions"] = list(functions)
    return written


def _joined(turns: Sequence[TurnTemplate]) -> dict[str, Any]:
    """The parts of every turn; where there are several, they are named by their turn."""
    if len(turns) == 1:
        return turns[0].values
    return {
        f"turns[{number}].{name}": value for number, turn in enumerate(turns) for name, value in turn.values.items()
    }
