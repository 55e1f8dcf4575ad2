"""What pydantic found, said in the terms of the job file. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from batchrun.spec.accepted import GENERATION
from batchrun.spec.documents import Document
from batchrun.spec.model import JobSpec
from batchrun.spec.positions import KeyPath
from batchrun.spec.shapes import got

_SAID = {
    "string_type": "text is expected (put it in quotes)",
    "int_type": "a whole number is expected",
    "int_from_float": "a whole number is expected",
    "float_type": "a number is expected",
    "finite_number": "a finite number is expected",
    "bool_type": "true or false is expected",
    "dict_type": "a mapping is expected",
    "list_type": "a list is expected",
    "model_type": "a mapping is expected",
    "model_attributes_type": "a mapping is expected",
}
#: Fields of a create request that `request` does not have, and what to do instead.
_INSTEAD = {
    **dict.fromkeys(GENERATION.fields, "it belongs inside `generation_config`"),
    **dict.fromkeys(("response_mime_type", "response_modalities"), "deprecated by the service; use `response_format`"),
    "cached_content": "deprecated by the service; remove it",
    "previous_interaction_id": "batchrun chains by itself; write `turns`",
    "continuation_token": "batchrun goes on by itself; remove it",
    **dict.fromkeys(("background", "stream"), "batchrun decides this; there is `store`"),
}


def explained(document: Document, error: ValidationError) -> Iterator[str]:
    """One message for each finding, in the order of the file."""
    for finding in error.errors(include_url=False):
        path, tags = _path(document.data, finding["loc"], keyed=finding["type"] in ("missing", "extra_forbidden"))
        yield document.problem(path, _message(finding, path, tags))


def _message(finding: Any, path: KeyPath, tags: set[str]) -> str:
    kind = finding["type"]
    if kind == "extra_forbidden":
        if path[:-1] == ("request",) and path[-1] in _INSTEAD:
            return f"unknown key: {_INSTEAD[path[-1]]}"
        return _unknown_key(str(path[-1]), _known_keys(path[:-1], tags))
    if kind == "missing":
        return "this key is missing; add it"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return f"`type` must be one of {finding['ctx'].get('expected_tags', _part_types())}"
    if kind == "value_error":
        return str(finding["ctx"]["error"])
    return f"{_SAID.get(kind, _plain(finding['msg']))}{got(finding['input'])}"


def _plain(message: str) -> str:
    return message.replace("Input should", "it should").replace("String should", "it should")


def _unknown_key(key: str, known: list[str]) -> str:
    close = get_close_matches(key.lower(), known, n=1, cutoff=0.6)
    if close:
        return f"unknown key; did you mean `{close[0]}`?"
    return f"unknown key; known here: {', '.join(sorted(known))}"


def _path(data: Any, location: tuple[str | int, ...], *, keyed: bool) -> tuple[KeyPath, set[str]]:
    """The steps of a location that lead through the data, and the union branches pydantic put between them.

    Where it is `keyed` its last step is a key of the data, also one that is not there.
    """
    path: KeyPath = ()
    tags: set[str] = set()
    for number, step in enumerate(location):
        last = number == len(location) - 1
        if _leads_on(data, step):
            path, data = (*path, step), data[step]
        elif keyed and last and isinstance(data, dict):
            path = (*path, step)
        else:
            tags.add(str(step))
    return path, tags


def _leads_on(data: Any, step: str | int) -> bool:
    if isinstance(data, dict):
        return step in data
    return isinstance(data, list) and isinstance(step, int) and step < len(data)


def _known_keys(path: KeyPath, tags: set[str]) -> list[str]:
    models: list[type[BaseModel]] = [JobSpec]
    for step in path:
        if isinstance(step, str):
            models = [found for model in models for found in _models_of(model, step)]
    chosen = [model for model in models if _types(model) & tags] or models
    return sorted({field.alias or name for model in chosen for name, field in model.model_fields.items()})


def _models_of(model: type[BaseModel], key: str) -> list[type[BaseModel]]:
    for name, field in model.model_fields.items():
        if key in (name, field.alias):
            return _models_in(field.annotation)
    return []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and get_origin(annotation) is None:
        return [annotation]
    return [found for argument in get_args(annotation) for found in _models_in(argument)]


def _types(model: type[BaseModel]) -> set[str]:
    field = model.model_fields.get("type")
    return set(get_args(field.annotation)) if field and get_origin(field.annotation) is Literal else set()


def _part_types() -> str:
    return "'text', 'document', 'image', 'audio', 'video'"
