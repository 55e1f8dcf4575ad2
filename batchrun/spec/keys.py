"""Keys that a section of the job file does not have: which ones it has, and what may have been meant. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from batchrun.spec.asking import FunctionCallingSpec, RequestSpec, Turn
from batchrun.spec.model import InputSpec, JobSpec, LimitsSpec, OutputSpec, PollSpec, RetrySpec
from batchrun.spec.parts import MediaPart, TextPart
from batchrun.spec.reading.positions import KeyPath
from batchrun.spec.service.accepted import GENERATION
from batchrun.spec.stages import StageLimitsSpec, StagePollSpec, StageRetrySpec, StageSpec

Model = type[BaseModel]

_SCHEMA = "it belongs inside `response_format`, as `schema`"
_IN_A_LIST = "a part stands in a list: `input: [{type: …}]`"
#: Keys of other tools and of the API itself, and what to do instead.
_INSTEAD: Mapping[Model, Mapping[str, str]] = {
    JobSpec: {
        **dict.fromkeys(("prompt", "messages", "contents"), "write `input` inside `request`"),
        **dict.fromkeys(("rows", "data", "dataset", "source"), "write `path` inside `input`"),
        **dict.fromkeys(("prompts", "requests"), "write `request`, once for all rows"),
    },
    RequestSpec: {
        **dict.fromkeys(GENERATION.fields, "it belongs inside `generation_config`"),
        **dict.fromkeys(
            ("response_mime_type", "response_modalities"), "deprecated by the service; use `response_format`"
        ),
        "cached_content": "deprecated by the service; remove it",
        "previous_interaction_id": "batchrun chains by itself; write `turns`",
        "continuation_token": "batchrun goes on by itself; remove it",
        **dict.fromkeys(("background", "stream"), "batchrun decides this; there is `store`"),
        **dict.fromkeys(("prompt", "contents", "content"), "write `input`"),
        **dict.fromkeys(("messages", "conversation", "history"), "write `input`, or `turns` for a conversation"),
        **dict.fromkeys(("system", "system_prompt", "instructions"), "write `system_instruction`"),
        **dict.fromkeys(("schema", "json_schema", "response_schema", "output_schema"), _SCHEMA),
        **dict.fromkeys(("files", "media", "parts"), "write a list of parts as `input`"),
        "timeout": "write `deadline` in the section `poll`",
    },
    InputSpec: {
        **dict.fromkeys(("file", "files", "source"), "write `path`"),
        **dict.fromkeys(("id", "id_column"), "write `key`"),
        "filter": "write `where`",
    },
    LimitsSpec: {
        **dict.fromkeys(("concurrency", "workers", "parallel", "max_concurrency"), "write `in_flight`"),
        **dict.fromkeys(("requests_per_minute", "rps", "qps"), "write `rpm`, POSTs a minute"),
        "tokens_per_minute": "write `tpm`",
    },
    StageLimitsSpec: dict.fromkeys(
        ("in_flight", "posts", "prices"), "it is the job's: write it in `limits` of the file"
    ),
    StagePollSpec: dict.fromkeys(
        ("first", "growth", "ceiling", "rpm", "retention"), "it is the job's: write it in `poll` of the file"
    ),
    StageRetrySpec: dict.fromkeys(
        ("calls", "first", "ceiling", "server_ceiling", "max_resubmits"),
        "it is the job's: write it in `retry` of the file",
    ),
    StageSpec: {
        **dict.fromkeys(("model", "agent", "input", "prompt", "response_format", "tools"), "write it inside `request`"),
        **dict.fromkeys(("by", "group_by", "group"), "write `batch: {by: column}`"),
        **dict.fromkeys(("depends_on", "after", "from", "inputs"), "write `needs`"),
        **dict.fromkeys(("if", "where", "filter"), "write `when`"),
        **dict.fromkeys(("function", "python", "map"), "write `transform`"),
        **dict.fromkeys(("previous", "chain", "continues"), "write `continue`"),
    },
    PollSpec: {"timeout": "write `deadline`", "interval": "write `first`, and `ceiling` for the longest"},
    RetrySpec: dict.fromkeys(("max_attempts", "max_retries", "retries"), "write `attempts`"),
    OutputSpec: {
        **dict.fromkeys(("path", "directory", "folder"), "write `dir`"),
        "format": "results are Parquet; `jsonl: true` writes JSONL as well",
    },
    FunctionCallingSpec: dict.fromkeys(
        ("allowed", "allowed_functions", "mode"), "write `tool_choice` in `generation_config`"
    ),
    Turn: {
        **dict.fromkeys(("text", "content", "prompt", "user"), "write `input`"),
        **dict.fromkeys(("type", "path", "uri"), _IN_A_LIST),
        "role": "a turn is what you say, and the answers come by themselves; remove it",
        "model": "one model answers all turns; write it in `request`",
    },
    MediaPart: {"file": "write `path`", "url": "write `uri`", "data": "write the file's `path`"},
    TextPart: dict.fromkeys(("path", "uri"), "a file of text is a part of `type: document`"),
}


def unknown_key(path: KeyPath, tags: set[str]) -> str:
    """What to say of a key that its section does not have. `tags` tell which form of the section was meant."""
    key, models = str(path[-1]), _models_at(path[:-1], tags)
    for model in models:
        if key in _INSTEAD.get(model, {}):
            return f"unknown key: {_INSTEAD[model][key]}"
    known = _fields_of(models)
    return f"unknown key; {_invisible(key) or _nested(key, known) or _meant(key, known) or _listed(known)}"


def _invisible(key: str) -> str | None:
    """Spaces that are none to YAML, such as those copied from a web page."""
    odd = next(
        (character for character in key if character != " " and unicodedata.category(character)[0] in "ZC"), None
    )
    return None if odd is None else f"it contains the invisible character U+{ord(odd):04X}; write a space, or nothing"


def _nested(key: str, known: list[str]) -> str | None:
    first, dot, rest = key.partition(".")
    return f"write it nested: `{first}: {{{rest}: …}}`" if dot and rest and first in known else None


def _meant(key: str, known: list[str]) -> str | None:
    """Nearly a key of this section, or one of another, or something like a key of this one: in this order."""
    if near := get_close_matches(key.lower(), known, n=1, cutoff=0.85):
        return f"did you mean `{near[0]}`?"
    if home := _home(key):
        return home
    close = get_close_matches(key.lower(), known, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else None


def _home(key: str) -> str | None:
    """Where a key belongs that stands in the wrong section."""
    if key in JobSpec.model_fields:
        return "it belongs at the top of the file"
    sections = [name for name in JobSpec.model_fields if key in _fields_of(_models_of(JobSpec, name))]
    return f"it belongs inside {' or '.join(f'`{name}`' for name in sections)}" if sections else None


def _listed(known: list[str]) -> str:
    return f"known here: {', '.join(known)}"


def _models_at(path: KeyPath, tags: set[str]) -> list[Model]:
    models: list[Model] = [JobSpec]
    named = path[:1] == ("stages",) and len(path) > 1
    for step in (path[0], *path[2:]) if named else path:
        if isinstance(step, str):
            models = [found for model in models for found in _models_of(model, step)]
    return [model for model in models if _tags_of(model) & tags] or models


def _fields_of(models: list[Model]) -> list[str]:
    return sorted({field.alias or name for model in models for name, field in model.model_fields.items()})


def _models_of(model: Model, key: str) -> list[Model]:
    for name, field in model.model_fields.items():
        if key in (name, field.alias):
            return _models_in(field.annotation)
    return []


def _models_in(annotation: Any) -> list[Model]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and get_origin(annotation) is None:
        return [annotation]
    return [found for argument in get_args(annotation) for found in _models_in(argument)]


def _tags_of(model: Model) -> set[str]:
    """The names by which pydantic tells this model from others that may stand in its place."""
    if model is Turn:
        return {"turn"}
    field = model.model_fields.get("type")
    return set(get_args(field.annotation)) if field and get_origin(field.annotation) is Literal else set()
