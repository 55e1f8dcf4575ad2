"""The output files of a run: written anew, unless they are of just this state already."""

from __future__ import annotations

import json

from batchrun.errors import StoreError
from batchrun.outputs.context import context_of
from batchrun.outputs.export import check_written, export, hashes_of
from batchrun.outputs.summary import Summary, located, summarize
from batchrun.runs.directory import EMULATED, RunDir, require_job
from batchrun.runs.opening import OpenRun
from batchrun.runs.preflight import output_directory
from batchrun.spec.load import Job
from batchrun.store.reader import Reader
from batchrun.version import __version__


def current_outputs(opened: OpenRun) -> Summary:
    """Write the output files unless they are of just this state. Raises StoreError, InvariantError."""
    return known_outputs(opened) or export_all(opened)


def known_outputs(opened: OpenRun) -> Summary | None:
    """The run's totals if the files that were written of just this state are all there, else None."""
    try:
        written = json.loads(opened.directory.summary.read_bytes())
        outputs = located(written, opened.directory.path.absolute())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if opened.reader.meta("exported") != export_mark(opened) or not all(path.is_file() for path in outputs.values()):
        return None
    here = str(opened.directory.path.absolute())
    return summarize(opened.reader, outputs=outputs, hashes=written.get("sha256"), directory=here)


def export_all(opened: OpenRun, *, posts: int = 0, elapsed: float = 0.0) -> Summary:
    """Write the outputs, and note what they were made of, so that stale ones are never taken for done."""
    summary = write_outputs(opened.job, opened.directory, opened.reader, posts=posts, elapsed=elapsed)
    opened.store.set_meta(exported=export_mark(opened))
    return summary


def export_mark(opened: OpenRun) -> str:
    """Changes with whatever the output files are made of: the version, the job's wishes, the rows and attempts."""
    return f"{__version__} {opened.job.spec.output.model_dump_json()} {opened.reader.state_mark()}"


def write_outputs(job: Job, directory: RunDir, reader: Reader, *, posts: int = 0, elapsed: float = 0.0) -> Summary:
    """Make the output files and `run.json` from the checkpoint. Raises StoreError, InvariantError."""
    _refuse_to_replace(directory, reader)
    require_job(job, directory, reader)
    emulated = reader.meta("target") == EMULATED
    context = context_of(job, reader, directory.media, emulated=emulated)
    with reader.snapshot():
        there, here = output_directory(job, directory, emulated=emulated).absolute(), str(directory.path.absolute())
        outputs = export(reader, there, context)
        hashes = hashes_of(outputs)
        summary = summarize(reader, posts=posts, elapsed=elapsed, outputs=outputs, hashes=hashes, directory=here)
    check_written(outputs, rows=reader.count_present(context.last), attempts=summary.attempts)
    summary.write(directory.summary)
    return summary


def _refuse_to_replace(directory: RunDir, reader: Reader) -> None:
    """Raises StoreError where the output files are of another run: they may be the last copy of paid answers."""
    try:
        written = json.loads(directory.summary.read_bytes())["run_id"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if written != (reader.meta("run_id") or ""):
        raise StoreError(
            f"{directory.summary}: the output files here are of run {written!r}, and the checkpoint is not: its rows "
            "would replace them. Restore the checkpoint, or move the files away."
        )
