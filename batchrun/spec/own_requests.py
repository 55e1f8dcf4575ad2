"""A row that brings a request of its own, in the column named by `request.column`: read and checked. Pure."""

from __future__ import annotations

from typing import Any

from batchrun.errors import RowError
from batchrun.spec.reading.strict_json import JsonProblem, parse

_ANOTHER_COLUMN = "if this column is no request, name another one in `request.column`"


def own_request(value: Any, column: str) -> dict[str, Any]:
    """The request in a column's value, which may be JSON text. Raises RowError (`bad_request`)."""
    if isinstance(value, str):
        try:
            value = parse(value)
        except JsonProblem as problem:
            raise _bad_request(f"it is text, and {problem}; {_ANOTHER_COLUMN}", column) from None
    if not isinstance(value, dict):
        raise _bad_request(f"it holds {type(value).__name__}, not an object; {_ANOTHER_COLUMN}", column)
    return value


def refuse_engine_s(request: dict[str, Any], column: str, *, store: bool) -> dict[str, Any]:
    """The request without the fields that batchrun sets. Raises RowError if it wants them otherwise."""
    owned = {"background": store, "store": store, "stream": False}
    for name, ours in owned.items():
        if request.get(name) not in (ours, None):
            how = "in the background" if store else "in the foreground (`request.store: false`)"
            raise _bad_request(f"`{name}` is not {str(ours).lower()}, and every row runs {how}; leave it out", column)
    return {name: value for name, value in request.items() if name not in owned}


def check(body: dict[str, Any], column: str) -> None:
    """Raises RowError for a body that is no request: `bad_request`, `no_model`, `no_input`."""
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


def _bad_request(what: str, column: str) -> RowError:
    return RowError("bad_request", f"the row's own request (column {column!r}): {what}")


def _is_empty(value: Any) -> bool:
    if isinstance(value, list):
        return all(block == {"type": "text", "text": ""} for block in value)
    return not value
