"""The command that draws a job: `graph`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchrun.cli import options
from batchrun.cli.options import RunChoice
from batchrun.cli.output import output as own_stream
from batchrun.cli.printing import note, say, say_json, write
from batchrun.errors import StoreError

if TYPE_CHECKING:
    from batchrun.reports.drawing.diagram import Diagram
    from batchrun.runs.directory import RunDir
    from batchrun.spec.load import Job

_FORMATS = {".txt": "text", ".mmd": "mermaid", ".svg": "svg"}
#: Columns of text that no terminal shows.
_WIDTH = 100


@click.command(short_help="Draw a job's stages.")
@options.run_choice
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_FORMATS.values())),
    metavar="FORM",
    help="text, mermaid or svg.  [default: as the name of --output ends, else text]",
)
@click.option(
    "--output",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it to a file (.txt, .mmd, .svg), not to standard output.",
)
@options.as_json
def graph(choice: RunChoice, form: str | None, path: Path | None, as_json: bool) -> None:
    """Draw a job's stages: what each does, what it needs, and, where the job was run, how its rows stand.

    A row is counted once: by its outcome, as in flight at the service, or as pending. Nothing is sent.
    """
    from batchrun.reports.drawing.diagram import diagram_of

    if as_json and (form or path):
        raise click.UsageError("--json is a form of its own: leave out --format and --output")
    form = form or _form_of(path)
    job = choice.load()
    run = _run_of(choice, job)
    diagram = diagram_of(job, None if run is None else _tallies(job, run))
    if as_json:
        say_json({**diagram.document(), "run_directory": run and str(run.path)})
        return
    for line in diagram.notes:
        note(line)
    if path is not None:
        _save(path, _drawn(diagram, form))
    elif form != "text":
        write(_drawn(diagram, form))
    else:
        stream = own_stream() or sys.stdout
        write(_drawn(diagram, form, shutil.get_terminal_size((_WIDTH, 24)).columns, stream.encoding))
        say(f"\nrun directory: {run.path}" if run else "\nnot run yet")


def _form_of(path: Path | None) -> str:
    if path is None:
        return "text"
    if path.suffix.lower() not in _FORMATS:
        known = ", ".join(_FORMATS)
        raise click.UsageError(f"--output {path}: its name ends in none of {known}; say with --format what to write")
    return _FORMATS[path.suffix.lower()]


def _run_of(choice: RunChoice, job: Job) -> RunDir | None:
    """The run to count, None if there is none; one that was asked for has to be there."""
    directory = choice.directory(job)
    return directory if directory.exists or choice.run_dir else None


def _tallies(job: Job, run: RunDir) -> dict[str, dict[str, int]]:
    from batchrun.runs.directory import require_job
    from batchrun.store.damage import explained
    from batchrun.store.reader import Reader
    from batchrun.store.tally import stage_tallies

    with explained(run.checkpoint), Reader(run.checkpoint) as reader:
        require_job(job, run, reader)
        return stage_tallies(reader)


def _drawn(diagram: Diagram, form: str, width: int = _WIDTH, encoding: str = "utf-8") -> str:
    from batchrun.reports.drawing.mermaid import mermaid_of
    from batchrun.reports.drawing.svg import svg_of
    from batchrun.reports.drawing.text import text_of

    if form == "svg":
        return svg_of(diagram)
    return mermaid_of(diagram) if form == "mermaid" else text_of(diagram, width, encoding)


def _save(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}. Name another file with --output.") from error
    say(f"wrote {path}")
