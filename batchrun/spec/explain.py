"""What pydantic found, said in the terms of the job file. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from batchrun.spec.keys import unknown_key
from batchrun.spec.reading.documents import Document
from batchrun.spec.reading.positions import KeyPath
from batchrun.spec.wording import message


def explained(document: Document, error: ValidationError) -> Iterator[str]:
    """One message for each finding, in the order of the file."""
    for found in error.errors(include_url=False):
        kind = found["type"]
        path, tags = _path(document.data, found["loc"], keyed=kind in ("missing", "extra_forbidden"))
        said = unknown_key(path, tags) if kind == "extra_forbidden" else message(found, path)
        yield document.problem(path, said)


def _path(data: Any, location: tuple[str | int, ...], *, keyed: bool) -> tuple[KeyPath, set[str]]:
    """The steps of a location that lead through the data, and the union branches pydantic put between them.

    Where it is `keyed` its last step is a key of the data, also one that is not there.
    """
    path: KeyPath = ()
    tags: set[str] = set()
    for number, step in enumerate(location):
        last = number == len(location) - 1
        if _leads_on(data, step) and not _is_branch(data, step, location[number + 1 :], keyed):
            path, data = (*path, step), data[step]
        elif keyed and last and isinstance(data, dict):
            path = (*path, step)
        else:
            tags.add(str(step))
    return path, tags


def _is_branch(data: Any, step: str | int, rest: tuple[str | int, ...], keyed: bool) -> bool:
    """Whether a step names a branch although the data have a key of that name, as in `{type: text, text: …}`."""
    if not rest or isinstance(data[step], dict | list):
        return False
    return _leads_on(data, rest[0]) or (keyed and len(rest) == 1)


def _leads_on(data: Any, step: str | int) -> bool:
    if isinstance(data, dict):
        return step in data
    return isinstance(data, list) and isinstance(step, int) and step < len(data)
