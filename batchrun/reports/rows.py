"""What `show` says: everything that is known about one row."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from batchrun.engine.file_bodies import previewed
from batchrun.engine.media import library_of
from batchrun.errors import RowError, SpecError
from batchrun.interactions.models import parse_json
from batchrun.reports.previews import without_data
from batchrun.runs.directory import rows_called
from batchrun.runs.pipeline import showing
from batchrun.spec.canonical import shallow
from batchrun.spec.load import Job
from batchrun.store.reader import Reader
from batchrun.store.records import AttemptRecord, RowRecord


def row_documents(job: Job, reader: Reader, key: str) -> dict[str, Any] | list[dict[str, Any]]:
    """Everything known about a row, as JSON values; about the row in every stage if `key` names none.

    Raises SpecError if there is no such row.
    """
    found = [row_document(job, reader, each) for each in rows_called(job, reader, key)]
    return found[0] if len(found) == 1 else found


def row_document(job: Job, reader: Reader, key: str) -> dict[str, Any]:
    """Everything known about one row, as JSON values. Raises SpecError if there is no such row."""
    row = reader.row(key)
    if row is None:
        raise SpecError(f"no row has the key {key!r}; `results.parquet` lists the keys.")
    stage = job.of(row.stage)
    request, differs = (None, False) if stage.transform else _request(job, row, reader)
    return {
        "key": row.key,
        **({"stage": row.stage, "output": without_data(shallow(_parsed(row.output)))} if row.stage else {}),
        "source": row.source,
        "outcome": row.outcome or "pending",
        "error_class": row.error_class,
        "error_message": row.error_message,
        "input": row.data,
        "exchanges": row.exchanges,
        "request": request,
        "request_differs_from_the_one_sent": differs,
        "attempts": [_attempt_document(attempt, reader) for attempt in list(reader.attempts(key, raw=True))],
    }


def _parsed(output: str | None) -> object:
    return None if output is None else json.loads(output)


def _shown(job: Job, row: RowRecord, reader: Reader) -> dict[str, Any]:
    """What the templates of a row find, as the checkpoint has it now."""
    data = row.data or {}
    if job.graph is None or row.stage not in job.graph.stages:
        return data
    return showing(job.graph, reader.last_reading(), reader.connection)(row.key, data)


def _request(job: Job, row: RowRecord, reader: Reader) -> tuple[object, bool]:
    """The row's request rendered anew, and whether it is another one than was sent."""
    if row.data is None:
        return None, False
    stage = job.of(row.stage)
    try:
        with closing(library_of(stage)) as library:
            request = previewed(stage, _shown(job, row, reader), library, hashed=True)
    except RowError as error:
        return f"{error.kind}: {error}", row.attempt is not None
    sent = next(iter(row.earlier), row.attempt)
    known = sent is not None and sent.exchange == 0 and request.sha
    return without_data(request.document()), bool(known and sent and sent.request_sha != request.sha)


def utc(at: float) -> str:
    """Unix seconds as `2026-11-22 13:09:00 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _attempt_document(attempt: AttemptRecord, reader: Reader) -> dict[str, Any]:
    answer = None if attempt.raw is None else parse_json(attempt.raw)
    if attempt.raw is not None and answer is None:
        answer = attempt.raw.decode("utf-8", "backslashreplace")
    times = ("intent_at", "submitted_at", "fetched_at", "superseded_at", "purged_at")
    shown_times = {name: utc(at) if (at := getattr(attempt, name)) is not None else None for name in times}
    fields = {
        **asdict(replace(attempt, usage=None)),
        **shown_times,
        "billed": attempt.billed,
        "answer": without_data(shallow(answer)),
    }
    fields["reply"] = None if attempt.reply is None else attempt.reply.decode("utf-8", "backslashreplace")
    if calls := [call.step for call in reader.tool_calls(attempt.id)]:
        fields["functions_run"] = calls
    return {name: value for name, value in fields.items() if name not in ("raw", "id", "row_id", "key", "usage")}
