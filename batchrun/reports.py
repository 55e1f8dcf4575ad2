"""What can be read off a run without touching it: totals, single rows, and whether its files are still there."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchrun.engine.file_bodies import previewed
from batchrun.engine.media import library_of
from batchrun.errors import RowError, SpecError
from batchrun.interactions.models import parse_json
from batchrun.outputs.counts import total_usage
from batchrun.outputs.summary import CLASSES, Summary
from batchrun.previews import shown, without_data
from batchrun.rundir import RunDir
from batchrun.spec.load import Job
from batchrun.store.reader import Reader
from batchrun.store.records import AttemptRecord, RowRecord


def summarize(
    reader: Reader,
    *,
    posts: int = 0,
    elapsed: float = 0.0,
    outputs: dict[str, Path] | None = None,
    hashes: dict[str, str] | None = None,
) -> Summary:
    """Where every row of the run stands; `posts` and `elapsed` (seconds) are this process's own."""
    tally = reader.tally()
    return Summary(
        run_id=reader.meta("run_id") or "",
        job=reader.meta("job") or "",
        rows=tally.rows,
        **{name: tally.outcomes.get(name, 0) for name in CLASSES},
        in_flight=reader.count_in_flight(),
        attempts=tally.attempts,
        posts=tally.posts,
        posts_this_run=posts,
        polls=tally.polls,
        possibly_billed_twice=tally.possibly_billed_twice,
        usage=total_usage(reader.attempts()),
        errors=tally.errors,
        elapsed_s=round(elapsed, 3),
        outputs=outputs or {},
        gone=tally.gone,
        sha256=hashes or {},
        state=reader.state_mark(),
    )


def known_outputs(directory: RunDir, reader: Reader, mark: str) -> Summary | None:
    """The run's totals if the files that were written of just this state are all there, else None."""
    try:
        written = json.loads(directory.summary.read_bytes())
        outputs = {name: Path(path) for name, path in written["outputs"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if reader.meta("exported") != mark or not all(path.is_file() for path in outputs.values()):
        return None
    return summarize(reader, outputs=outputs, hashes=written.get("sha256"))


def row_document(job: Job, reader: Reader, key: str) -> dict[str, Any]:
    """Everything known about one row, as JSON values. Raises SpecError if there is no such row."""
    row = reader.row(key)
    if row is None:
        raise SpecError(f"no row has the key {key!r}; `results.parquet` lists the keys.")
    request, differs = _request(job, row)
    return {
        "key": row.key,
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


def _request(job: Job, row: RowRecord) -> tuple[object, bool]:
    """The row's request rendered anew, and whether it is another one than was sent."""
    if row.data is None:
        return None, False
    try:
        with closing(library_of(job)) as library:
            request = previewed(job, row.data, library, hashed=True)
    except RowError as error:
        return f"{error.kind}: {error}", row.attempt is not None
    sent = next(iter(row.earlier), row.attempt)
    known = sent is not None and sent.exchange == 0 and request.sha
    return shown(request), bool(known and sent and sent.request_sha != request.sha)


def utc(at: float) -> str:
    """Unix seconds as `2026-11-22 13:09:00 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _attempt_document(attempt: AttemptRecord, reader: Reader) -> dict[str, Any]:
    answer = None if attempt.raw is None else parse_json(attempt.raw)
    if attempt.raw is not None and answer is None:
        answer = attempt.raw.decode("utf-8", "backslashreplace")
    times = ("intent_at", "submitted_at", "fetched_at", "superseded_at", "purged_at")
    shown_times = {name: utc(at) if (at := getattr(attempt, name)) is not None else None for name in times}
    fields = {**asdict(attempt), **shown_times, "billed": attempt.billed, "answer": without_data(answer)}
    if calls := [call.step for call in reader.tool_calls(attempt.id)]:
        fields["functions_run"] = calls
    return {name: value for name, value in fields.items() if name not in ("raw", "id", "row_id", "key", "usage")}
