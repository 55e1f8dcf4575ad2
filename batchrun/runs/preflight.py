"""What would only fail after the money is spent, looked at before: output columns, directories and paths."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from batchrun.errors import DISK_TROUBLE, SpecError, StoreError
from batchrun.inputs.sources import find_documents, find_sources
from batchrun.outputs.export import FILES
from batchrun.runs.directory import RunDir
from batchrun.spec.load import Job, without_dots
from batchrun.store.columns import has_column, lacks_column
from batchrun.store.reader import Reader


def output_directory(job: Job, directory: RunDir, *, emulated: bool) -> Path:
    """Where the outputs go. Those of emulated runs stay in the run directory: they must not replace real ones."""
    chosen = job.spec.output.dir
    return without_dots(job.base / chosen) if chosen and not emulated else directory.path


def check_outputs(job: Job, reader: Reader, outputs: Path) -> None:
    """Raises SpecError if the outputs could not be written as the job wants them. Makes their directory.

    Raises StoreError where the disk refuses.
    """
    _refuse_unknown_columns(job, reader)
    _refuse_unknown_groups(job, reader)
    try:
        outputs.mkdir(mode=0o700, parents=True, exist_ok=True)
        usable = os.access(outputs, os.W_OK | os.X_OK)
    except (OSError, ValueError) as error:
        kind = StoreError if isinstance(error, OSError) and error.errno in DISK_TROUBLE else SpecError
        raise kind(f"{job.path}: output.dir: cannot be made: {error}; nothing was sent.") from None
    if not usable:
        raise SpecError(f"{job.path}: output.dir: {outputs} cannot be written to; nothing was sent.")
    _refuse_inputs_as_outputs(job, outputs)


def _refuse_unknown_columns(job: Job, reader: Reader) -> None:
    missing = [name for name in job.spec.output.columns if not has_column(reader.connection, name)]
    if missing and reader.count_rows():
        raise SpecError(
            f"{job.path}: output.columns: no row has the column {', '.join(map(repr, missing))}; nothing was sent."
        )


def _refuse_unknown_groups(job: Job, reader: Reader) -> None:
    """Rows without the column would be one group, called null, after all that comes before it was paid."""
    for stage, column in grouped_by(job):
        if job.graph is not None and lacks_column(reader.connection, job.graph.first, column):
            raise SpecError(f"{job.path}: stages.{stage}.batch.by: no row has the column {column!r}; nothing was sent.")


def grouped_by(job: Job) -> Iterator[tuple[str, str]]:
    """The stages that take rows in groups, each with the column of the input."""
    for each in job.each:
        batch = each.stage_spec and each.stage_spec.batch
        if batch and batch.by:
            yield each.stage, batch.by


def _refuse_inputs_as_outputs(job: Job, outputs: Path) -> None:
    """An export would replace the input, such as the failed.jsonl of an earlier run in the same directory."""
    if job.spec.input.path == "-":
        return
    ours = {os.path.realpath(outputs / name) for name, _ in FILES.values()}
    clash = next((name for name, path in _inputs(job) if os.path.realpath(path) in ours), None)
    if clash is not None:
        raise SpecError(
            f"{job.path}: {clash} is read as input and would be overwritten as output; nothing was sent. "
            "Choose another output.dir or --run-dir."
        )


def _inputs(job: Job) -> Iterator[tuple[str, Path]]:
    """The files of the input, with what messages call them."""
    if job.spec.input.files is None or job.taken is not None:
        yield from ((source.name, source.path) for source in find_sources(job.spec.input, job.base, job.taken))
    else:
        documents = find_documents(job.spec.input, job.base)
        yield from ((document.shown, job.base / document.name) for document in documents)
