"""Settings that the service refuses or ignores, found before anything is sent. Pure.

What it would refuse for every row is an error of the job; what works but does not do what one may think, or may be
refused, is a warning. Where the service's own documentation is unsure, it is a warning. The requests that rows bring
themselves are not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from batchrun.spec.asking import RequestSpec, Turn
from batchrun.spec.formats import AudioFormat, TextFormat, VideoFormat
from batchrun.spec.judging.schemas import OutputSchema
from batchrun.spec.parts import MediaPart
from batchrun.spec.reading.positions import KeyPath
from batchrun.spec.service.accepted import COMPRESSED, FORMATS, SETTINGS, TOOLS
from batchrun.spec.service.choices import of_the_tools
from batchrun.spec.service.ignored import MOST_NESTED_ITEMS, ignored_keywords, nested_items
from batchrun.spec.service.processing import MIME_TYPES, PROCESSING
from batchrun.spec.service.shapes import Finding, Findings, advice, by_type, unknown_type
from batchrun.spec.service.targets import of_the_agent, of_the_model, tool_type

#: The service takes 100 MB a request, and base64 makes three bytes four.
_MOST_INLINE = 75_000_000
_TOOL = by_type(TOOLS)


def findings(
    request: RequestSpec, schemas: Sequence[OutputSchema | None], functions: Sequence[str] = ()
) -> list[Finding]:
    """What is to be said about a request and its turns; key paths begin at the top of the job file.

    `schemas` are those of the turns, `functions` the names of the user's own.
    """
    found = (
        replace(each, path=_place(request, number, each.path))
        for number, (turn, schema) in enumerate(zip(request.each_turn(), schemas, strict=True))
        for each in (*_of_turn(turn, schema), *of_the_tools(turn, functions))
    )
    return list(dict.fromkeys(found))  # what turns take from the request is found in each of them


def _place(request: RequestSpec, number: int, path: KeyPath) -> KeyPath:
    """Where a setting of a turn stands: in the turn, or in the request if the turn leaves it out."""
    turn = request.turns[number] if request.turns else None
    if isinstance(turn, Turn):
        own = getattr(turn, str(path[0]), None) is not None
        return ("request", *(("turns", number) if own else ()), *path)
    if turn is not None and path[0] == "input":
        return ("request", "turns", number, *path[1:])
    return ("request", *path)


def _of_turn(turn: RequestSpec, schema: OutputSchema | None) -> Findings:
    for name, shape in SETTINGS.items():
        if (value := getattr(turn, name)) is not None:
            yield from shape(value, (name,))
    yield from _of_storage(turn)
    yield from _of_tools(turn)
    yield from _of_formats(turn, schema)
    yield from _of_parts(turn)
    if turn.model is not None:
        yield from of_the_model(turn, turn.model)
    elif turn.agent is not None:
        yield from of_the_agent(turn, turn.agent)


def _of_storage(turn: RequestSpec) -> Findings:
    deferred = turn.service_tier == "deferred"
    if deferred and turn.store:
        yield advice(("service_tier",), "deferred is a preview for projects of the Enterprise service that were let in")
    elif deferred:
        yield Finding(("service_tier",), "the service takes deferred only with storage; remove `store: false`")
    if turn.webhook_config is not None and not turn.store:
        yield Finding(("webhook_config",), "the service takes this only with storage; remove `store: false`")
    if turn.inline_limit > _MOST_INLINE:
        yield advice(("inline_limit",), "the service takes 100 MB a request, which 75 MB of media fill as base64")


def _of_tools(turn: RequestSpec) -> Findings:
    for index, tool in enumerate(turn.tools or []):
        path: KeyPath = ("tools", index)
        if isinstance(tool, dict):
            yield from _TOOL(tool, path)
            yield from _of_parameters(tool, path)
        elif tool not in TOOLS:
            yield Finding(path, unknown_type(tool, TOOLS))
        else:
            yield from TOOLS[tool]({"type": tool}, path)


def _of_parameters(tool: Mapping[str, Any], path: KeyPath) -> Findings:
    parameters = tool.get("parameters")
    if isinstance(parameters, dict) and (ignored := ignored_keywords(parameters)):
        yield advice((*path, "parameters"), f"the service ignores {ignored}; arguments may break these rules")


def _of_formats(turn: RequestSpec, schema: OutputSchema | None) -> Findings:
    formats = turn.response_format
    for index, form in enumerate(formats if isinstance(formats, list) else [formats]):
        path: KeyPath = ("response_format", index) if isinstance(formats, list) else ("response_format",)
        for name, shape in FORMATS[form.type].items() if form else ():
            if (value := getattr(form, name)) is not None:
                yield from shape(value, (*path, name))
        if isinstance(form, TextFormat):
            yield from _of_text(turn, form, schema, path)
        elif isinstance(form, AudioFormat) and form.bit_rate is not None and form.mime_type not in COMPRESSED:
            yield advice((*path, "bit_rate"), f"only {' and '.join(COMPRESSED)} have one; write one as `mime_type`")
        elif isinstance(form, VideoFormat) and form.delivery == "uri" and not turn.store:
            yield Finding((*path, "delivery"), "the service delivers a video by uri only with storage; write `inline`")


def _of_text(turn: RequestSpec, form: TextFormat, schema: OutputSchema | None, path: KeyPath) -> Findings:
    if form.json_schema is None or schema is None:
        return
    path = (*path, "schema")
    if schema.unheeded:
        names = ", ".join(schema.unheeded)
        yield advice(path, f"validators of the model are not run, only what its JSON Schema says is checked: {names}")
    if ignored := ignored_keywords(schema.schema):
        yield advice(path, f"the service ignores {ignored}; only batchrun's check of the answer holds such rules")
    if (items := nested_items(schema.schema)) > MOST_NESTED_ITEMS:
        yield advice(
            path, f"arrays in arrays of up to {items:,} items: the service may find this too complex; lower `maxItems`"
        )
    if any(tool_type(tool) == "google_search" for tool in turn.tools or []):
        yield advice(path, "with google_search the service has been seen to leave arrays empty; check the answers")


def _of_parts(turn: RequestSpec) -> Findings:
    for index, part in enumerate(turn.input if isinstance(turn.input, list) else ()):
        if isinstance(part, MediaPart):
            yield from _of_part(part, ("input", index))
            if part.uri is not None:
                yield from _of_address(part, ("input", index), fetched=bool(turn.fetch))


def _of_part(part: MediaPart, path: KeyPath) -> Findings:
    if part.processing is not None and part.type == "image":
        yield Finding((*path, "processing"), "images have no `processing`; remove it")
    elif part.processing is not None:
        yield from PROCESSING[part.type](part.processing, (*path, "processing"))
    if part.resolution is not None and part.type == "audio":
        yield Finding((*path, "resolution"), "sound has no `resolution`; remove it")


def _of_address(part: MediaPart, path: KeyPath, *, fetched: bool) -> Findings:
    """Local files and what batchrun fetches are looked at when they are read."""
    if part.mime_type is None:
        if part.type != "video" and not fetched:
            yield advice(path, "the service may refuse an address without `mime_type`; add it")
        return
    if part.mime_type.partition(";")[0].strip().lower() not in MIME_TYPES[part.type]:
        hint = "give it as a part of `type: text`" if part.type == "document" else "convert it if it is refused"
        yield advice((*path, "mime_type"), f"not among the documented types of {part.type} parts; {hint}")
