"""Rows and attempts as SQL selects them, and the records that are made of that."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import Any

from batchrun.store.damage import unreadable
from batchrun.store.records import AttemptRecord, AttemptState, RowRecord

#: What makes an `AttemptRecord` of attempt `a` of row `r`, but for its answer, which comes last.
ATTEMPT = """a.id, a.row_id, r.key, a.number, r.stage, a.exchange, a.turn, a.state, a.evidence, a.intent_key,
    a.request_sha, a.model, a.agent,
    a.interaction_id, a.interaction_status, a.service_tier, a.posts, a.polls, a.http_status, a.error_class,
    a.error_message, a.intent_at, a.submitted_at, a.fetched_at, a.superseded_at, a.purged_at, a.usage, a.files"""
#: What makes a `RowRecord` of row `r`, followed by its attempt.
ROW = """r.id, r.position, r.key, r.source, r.input_sha, r.data, r.outcome, r.error_class, r.error_message,
    r.finished_at, r.stage,
    (SELECT count(*) FROM attempt c WHERE c.row_id = r.id),
    (SELECT count(*) FROM attempt c WHERE c.row_id = r.id AND c.state = 'fetched'
        AND c.superseded_at > coalesce(r.reopened_at, 0) AND c.superseded_by != 'purge'), r.output"""
_ROW_FIELDS = 14


def row_record(values: tuple[Any, ...]) -> RowRecord:
    """The record of a row and its attempt. Raises StoreError for values that were not written so."""
    row, attempt = values[:_ROW_FIELDS], values[_ROW_FIELDS:]
    try:
        data = None if row[5] is None else json.loads(row[5])
    except (ValueError, TypeError) as error:
        raise unreadable(f"the input of row {row[2]!r}", error) from None
    last = None if attempt[0] is None else attempt_record(attempt)
    fields: list[Any] = [*row[:5], data, *row[6:-2], last, row[-2]]
    return replace(RowRecord(*fields), output=row[-1]) if row[-1] else RowRecord(*fields)


def attempt_record(values: tuple[Any, ...]) -> AttemptRecord:
    """The record of an attempt. Raises StoreError for values that were not written so."""
    try:
        return _as_written(values)
    except (ValueError, TypeError, zlib.error) as error:
        raise unreadable(f"attempt {values[0]} of row {values[2]!r}", error) from None


def _as_written(values: tuple[Any, ...]) -> AttemptRecord:
    *plain, usage, files, raw = values
    plain[7], plain[12] = AttemptState(plain[7]), bool(plain[12])
    counted = None if usage is None else json.loads(usage)
    if not isinstance(counted, dict | None):
        raise ValueError("its usage is no object")
    listed = () if files is None else tuple(json.loads(files))
    came = None if raw is None else zlib.decompress(raw)
    doubted = plain[7] is AttemptState.AMBIGUOUS  # what came then is no answer
    fields: list[Any] = [*plain, counted, listed, *((None, came) if doubted else (came, None))]
    return AttemptRecord(*fields)
