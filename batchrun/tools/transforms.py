"""Runs the user's transforms: what they return becomes JSON, what they raise the end of their row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future
from inspect import isawaitable
from typing import Any

from batchrun.errors import RowError
from batchrun.rows import Finish, Outcome
from batchrun.spec.canonical import deeper_than
from batchrun.spec.flow import FILTERED
from batchrun.spec.functions import Transform
from batchrun.tools.results import failed_by, plain
from batchrun.tools.running import Threads

#: No output of a transform is larger, as JSON.
MAX_BYTES = 64 * 1024 * 1024
_MAX_DEPTH = 100
#: A row, or the rows of a batch.
Given = dict[str, Any] | Iterator[dict[str, Any]]
#: A row's end, and its output as JSON.
Transformed = tuple[Finish, str | None]


def transformed(transform: Transform, given: Given, *, explode: bool) -> Transformed:
    """What the transform makes of a row, or of the rows of a batch; it may change what it is given.

    Raises nothing that the transform can cause: a RowError of its is the row's end.
    """
    try:
        value = transform.target(given)
        output = _checked(list(value) if isinstance(value, Iterator) else value, explode=explode)
    except RowError as error:
        return Finish(Outcome.FAILED, error.kind, str(error)), None
    except BaseException as error:  # the user's code, in a thread where nothing else takes it
        said = failed_by(error).result
        return Finish(Outcome.FAILED, "transform_failed", f"{transform.name}: {said}"), None
    if output is None:
        return Finish(Outcome.SKIPPED, FILTERED, f"{transform.name} returned None"), None
    return Finish(Outcome.SUCCEEDED), output


def transformed_within(transform: Transform, given: Given, *, explode: bool, seconds: float) -> Transformed:
    """The same in a thread of its own, which is left to itself when its time is up."""
    done: Future[Transformed] = Threads().submit(lambda: transformed(transform, given, explode=explode))
    try:
        return done.result(seconds)
    except TimeoutError:
        return timed_out(seconds)


def timed_out(seconds: float) -> Transformed:
    """The end of a row whose transform took too long."""
    return Finish(
        Outcome.FAILED, "transform_timed_out", f"no result after {seconds:g} s; see the stage's `timeout`"
    ), None


def _checked(value: object, *, explode: bool) -> str | None:
    """The JSON of what a transform has returned, None for nothing. Raises RowError."""
    if value is None:
        return None
    if isawaitable(value):
        raise RowError("bad_transform", "an async function cannot be a transform; write a plain one")
    try:
        held = plain(value)
        text = json.dumps(held, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise RowError("bad_transform", f"what it returned has no JSON form: {error}") from None
    if deeper_than(held, _MAX_DEPTH) or len(text) > MAX_BYTES:
        raise RowError("bad_transform", f"what it returned is deeper than {_MAX_DEPTH} levels or larger than 64 MiB")
    if explode and not isinstance(held, list):
        raise RowError("bad_transform", f"`explode` wants a list, and it returned a {type(value).__name__}")
    return text
