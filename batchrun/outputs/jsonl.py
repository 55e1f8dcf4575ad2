r"""The JSON Lines files: results on request, and the rows that did not succeed, as input for another run.

A line ends at `\n` and nowhere else: what some readers take for line ends (U+0085, U+2028, U+2029) is escaped.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from batchrun.outputs.results import Layout, Result, media_records
from batchrun.rows import Outcome, key_within
from batchrun.spec.stages import STAGES

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_FAILURES = (Outcome.FAILED, Outcome.INVALID_OUTPUT, Outcome.INCOMPLETE, Outcome.BLOCKED)
_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def line(value: object) -> bytes:
    """`value` as one line of JSON in UTF-8. What JSON cannot hold (NaN, infinities) becomes null."""
    try:
        text = _encode(value)
    except ValueError:
        text = _encode(_finite(value))
    if not text.isascii():
        text = text.translate(_LINE_ENDS)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def result_line(result: Result, layout: Layout, schema_sha: str | None) -> bytes:
    """A result with its input columns under `input` and its whole answer under `output`; times in ISO 8601, UTC."""
    row, attempt = result.row, result.row.standing
    submitted_at = attempt.submitted_at if attempt else None
    record: dict[str, Any] = {
        "key": key_within(row.stage, row.key),
        "status": row.outcome or "pending",
        "input": {field.name: (row.data or {}).get(field.name) for field in layout.inputs},
        "output": result.answer,
        **({"stages": (row.data or {}).get(STAGES, {})} if row.stage else {}),
        "text": result.text,
        **result.extras,
        "media": media_records(result),
        "interaction_id": attempt and attempt.interaction_id,
        "model": attempt and attempt.model,
        "error_class": result.error_class,
        "error_message": result.error_message,
        "attempts": row.attempts,
        "exchanges": row.exchanges,
        "submitted_at": _iso(submitted_at),
        "finished_at": _iso(row.finished_at),
        "prompt_sha": attempt and attempt.request_sha,
        "schema_sha": schema_sha,
        "input_sha": row.input_sha,
        "source": row.source,
    }
    return line(record)


def failed_line(result: Result) -> bytes | None:
    """The input row of a result that may be run again; None for others and where no row could be read.

    A row that waits for its user is not in it: an ambiguous one, sent by another run, might be paid twice and nobody
    would know, and a plan that waits for approval is no failure.
    """
    row = result.row
    if row.data is None or row.outcome not in _FAILURES:
        return None
    return line({name: value for name, value in row.data.items() if name != STAGES} if row.stage else row.data)


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
