"""From a row to the body of one create call. Pure: local files stay references until `inputs.media` reads them.

Fields of the job's `request` section fill in what a row's own request (the `request` column) leaves out, field by
field at the top level. `background`, `store` and `stream` never appear in a rendered body: they are the engine's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from batchrun.errors import RowError, SpecError
from batchrun.spec.canonical import canonical_json, sha256_of
from batchrun.spec.model import MediaPart, RequestSpec, TextPart
from batchrun.spec.schemas import OutputSchema
from batchrun.spec.strict_json import JsonProblem, parse
from batchrun.spec.templates import Template

_PASSED_THROUGH = ("generation_config", "agent_config", "environment", "tools", "labels", "service_tier")
_ENGINE_OWNED = {"background": True, "store": True, "stream": False}
_ANOTHER_COLUMN = "if this column is no request, name another one in `request.column`"
_ONLY_FOR = {"generation_config": "model", "agent_config": "agent"}


@dataclass(frozen=True, slots=True)
class MediaRef:
    """A local file a request asks for; `path` is rendered, relative to the job file and not yet trusted."""

    type: Literal["document", "image"]
    path: str
    mime_type: str | None = None
    resolution: str | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """The body of a create call, without what the engine adds.

    `body["input"]` may hold MediaRef objects where `media` is true. Nested values are shared between rows: copy
    before changing them.
    """

    body: dict[str, Any]
    media: bool


class RequestTemplate:
    """The compiled `request` section. Raises SpecError for a template that does not compile."""

    def __init__(self, spec: RequestSpec, schema: OutputSchema | None) -> None:
        self._spec = spec
        self._system = None if spec.system_instruction is None else Template(spec.system_instruction)
        self._input = _compiled_input(spec)
        self._fixed = _fixed_fields(spec, schema)
        self._schema = schema
        self.parts = {name: sha256_of(value)[:12] for name, value in _identity(spec, schema).items()}
        """For each part of the section that decides what is sent, a short hash."""
        self.fingerprint = sha256_of(_identity(spec, schema))
        """Hex SHA-256 over everything in the job file that decides what is sent, the schema's content included."""
        self.columns = frozenset[str]().union(*(template.columns for template in self._templates()))
        """Columns the templates may read."""

    def render(self, row: Mapping[str, Any]) -> Rendered:
        """The request for one row.

        Raises RowError: `template_error`; `bad_request` (the row's own request is not one, or asks for what batchrun
        decides); `no_input`; `no_model`.
        """
        own = self._own(row)
        body = {**self._filled_in(own), **own}
        for name, template in (("system_instruction", self._system), ("input", self._input)):
            if template is not None and name not in own and (value := _rendered(template, row)):
                body[name] = value
        _check(body, self._spec.column)
        media = isinstance(self._input, list) and "input" not in own and _has_media(body["input"])
        return Rendered(body, media)

    def schema_for(self, row: Mapping[str, Any]) -> OutputSchema | None:
        """The schema that the row's answer must satisfy: that of its own `response_format`, else the job's.

        Raises RowError (`bad_request`) if the row's own is no schema.
        """
        own = self._own(row)
        if "response_format" not in own:
            return self._schema
        format_ = own["response_format"]
        schema = format_.get("schema") if isinstance(format_, dict) else None
        if not isinstance(schema, dict):
            return None
        try:
            return _compiled_schema(canonical_json(schema))
        except SpecError as error:
            raise _bad_request(f"its response_format.schema is no JSON Schema: {error}", self._spec.column) from None

    def _own(self, row: Mapping[str, Any]) -> dict[str, Any]:
        value = row.get(self._spec.column)
        if value is None:
            return {}
        request = _own_request(value, self._spec.column)
        for name, ours in _ENGINE_OWNED.items():
            if request.get(name) not in (ours, None):
                what = f"`{name}` is not {str(ours).lower()}, and every row runs in the background; leave it out"
                raise _bad_request(what, self._spec.column)
        return {name: value for name, value in request.items() if name not in _ENGINE_OWNED}

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

    def _templates(self) -> list[Template]:
        parts = self._input if isinstance(self._input, list) else [self._input]
        used = [self._system, *(part.template if isinstance(part, _PartTemplate) else part for part in parts)]
        return [template for template in used if template is not None]


@dataclass(frozen=True, slots=True)
class _PartTemplate:
    part: TextPart | MediaPart
    template: Template

    def render(self, row: Mapping[str, Any]) -> dict[str, Any] | MediaRef:
        text = self.template.render(row)
        if isinstance(self.part, TextPart):
            return {"type": "text", "text": text}
        return MediaRef(self.part.type, text, self.part.mime_type, self.part.resolution)


@lru_cache(maxsize=64)
def _compiled_schema(canonical: bytes) -> OutputSchema:
    return OutputSchema(json.loads(canonical))


def _compiled_input(spec: RequestSpec) -> Template | list[_PartTemplate] | None:
    if not isinstance(spec.input, list):
        return None if spec.input is None else Template(spec.input)
    return [
        _PartTemplate(part, Template(part.text if isinstance(part, TextPart) else part.path)) for part in spec.input
    ]


def _rendered(template: Template | list[_PartTemplate], row: Mapping[str, Any]) -> str | list[Any]:
    if isinstance(template, Template):
        return template.render(row)
    return [part.render(row) for part in template]


def _has_media(blocks: list[Any]) -> bool:
    return any(isinstance(block, MediaRef) for block in blocks)


def _is_empty(value: Any) -> bool:
    if isinstance(value, list):
        return all(block == {"type": "text", "text": ""} for block in value)
    return not value


def _fixed_fields(spec: RequestSpec, schema: OutputSchema | None) -> dict[str, Any]:
    fields: dict[str, Any] = {"model": spec.model, "agent": spec.agent}
    fields |= {name: getattr(spec, name) for name in _PASSED_THROUGH}
    fields["response_format"] = _response_format(spec, schema)
    return {name: value for name, value in fields.items() if value is not None}


def _response_format(spec: RequestSpec, schema: OutputSchema | None) -> dict[str, Any] | None:
    if spec.response_format is None:
        return None
    mime_type = spec.response_format.mime_type or (schema and "application/json")
    body = {"type": spec.response_format.type, "mime_type": mime_type, "schema": schema and schema.schema}
    return {name: value for name, value in body.items() if value is not None}


def _identity(spec: RequestSpec, schema: OutputSchema | None) -> dict[str, Any]:
    written = spec.model_dump(mode="json", exclude_defaults=True, exclude={"store", "media_root"})
    if spec.response_format is not None:
        written["response_format"] = _response_format(spec, schema)
    return written


def _own_request(value: Any, column: str) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = parse(value)
        except JsonProblem as problem:
            raise _bad_request(f"it is text, and {problem}; {_ANOTHER_COLUMN}", column) from None
    if not isinstance(value, dict):
        raise _bad_request(f"it holds {type(value).__name__}, not an object; {_ANOTHER_COLUMN}", column)
    return value


def _bad_request(what: str, column: str) -> RowError:
    return RowError("bad_request", f"the row's own request (column {column!r}): {what}")


def _check(body: dict[str, Any], column: str) -> None:
    for name in ("model", "agent", "system_instruction"):
        if not isinstance(body.get(name, ""), str):
            raise _bad_request(f"`{name}` is not text", column)
    labels = body.get("labels", {})
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise _bad_request("`labels` is not an object of texts", column)
    if "model" in body and "agent" in body:
        raise _bad_request("it names both a model and an agent", column)
    if not (body.get("model") or body.get("agent")):
        raise RowError("no_model", f"neither the job nor the row's {column!r} column names a model or an agent")
    if _is_empty(body.get("input")) and "continuation_token" not in body:
        raise RowError("no_input", f"nothing to send: `request.input` is missing or empty here, and so is {column!r}")
