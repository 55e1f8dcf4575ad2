"""The commands around a run: validate, plan, retry, export, schema."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from batchrun.cli import options
from batchrun.cli.options import RunChoice
from batchrun.cli.printing import say, say_json
from batchrun.cli.running import warn
from batchrun.clock import wall_clock
from batchrun.errors import Exit
from batchrun.plurals import counted


@click.command(short_help="Check a job, and send nothing.")
@options.job
@options.overrides
@options.slot_to_run
@click.option("--strict", is_flag=True, help="Warnings are problems, too.")
def validate(job: Path, overrides: tuple[str, ...], slot: str | None, strict: bool) -> None:
    """Check a job: its file, templates and schema, every row's form, the first rows' requests and media.

    Settings that the service is known to refuse are errors, those that it ignores and those that do nothing in this
    job are warnings. Nothing is sent.
    """
    from batchrun.cli.planning import look_ahead

    loaded = RunChoice(job, overrides, slot=slot).load_planned()
    found = look_ahead(loaded, None)
    say(f"{job}: {counted(found.rows, 'row')} read, {found.rendered:,} rendered; nothing was sent")
    for line in [*loaded.notes, *found.problem_lines]:
        say(f"  {line}")
    warnings = [*loaded.warnings, *found.warnings]
    for warning in warnings:
        say(f"  warning: {warning}")
    if found.problems or (strict and warnings):
        sys.exit(Exit.BAD_INPUT)
    say("No problems found." if not warnings else f"No problems found, {counted(len(warnings), 'warning')}.")


@click.command(short_help="What `run` would send, and what it may cost.")
@options.planned_choice
@options.limit
@click.option(
    "--show", default=0, type=click.IntRange(0), metavar="N", help="Also print the requests of the first N rows."
)
@options.as_json
def plan(choice: RunChoice, limit: int | None, show: int, as_json: bool) -> None:
    """Say what `run` would do: rows to send, rows reused, interactions and input tokens. Nothing is sent.

    Later turns are counted with the history that they read again; what cannot be known before is named.
    """
    from batchrun.cli.planning import look_ahead, plan_document, plan_lines

    loaded = choice.load_planned()
    directory = choice.planned(loaded)
    warn(loaded)
    found = look_ahead(loaded, directory, limit=limit, show=show)
    if as_json:
        say_json(plan_document(found))
    else:
        say("\n".join(plan_lines(loaded, directory, found)))
    if found.refused:
        sys.exit(Exit.BAD_INPUT)


@click.command(short_help="Make failed rows pending again.")
@options.run_choice
@click.option("--failed", is_flag=True, help="Only rows that failed (not those with an invalid answer).")
@click.option("--incomplete", is_flag=True, help="Also rows whose answer is cut off: the same limit may cut it again.")
@click.option("--blocked", is_flag=True, help="Also rows that the service refused to answer: it may refuse again.")
@click.option("--ambiguous", is_flag=True, help="Also rows that are held: they may be paid twice.")
@click.option("--anew", is_flag=True, help="Rows without an answer too are sent again, and billed, instead of polled.")
@click.option("--from-start", is_flag=True, help="Conversations from their first turn, billed again.")
@click.option("--key", "keys", multiple=True, help="Only this row. May be repeated.")
def retry(
    choice: RunChoice,
    failed: bool,
    incomplete: bool,
    blocked: bool,
    ambiguous: bool,
    anew: bool,
    from_start: bool,
    keys: tuple[str, ...],
) -> None:
    """Make failed rows pending again; the next `run` sends anew, and pays again for, the interaction that failed.

    What went well before it stays: the earlier turns of a conversation, answers whose files could not be fetched. Rows
    that were given up without an answer (lost, expired, timed_out, no_answer, label_mismatch) have an id: the next run
    polls it once more, which costs nothing. If that brings no answer either, --anew sends them again.

    Rows whose input could not be read stay failed: mend the input first. Plans that wait for approval are not failures:
    see `approve`.
    """
    from batchrun.cli.ending import run_words
    from batchrun.cli.retrying import nothing_to_retry
    from batchrun.runs.directory import rows_called
    from batchrun.runs.run import retry as retry_rows
    from batchrun.runs.scheduled import note_reopened
    from batchrun.store.reader import Reader

    loaded = choice.load()
    wanted = {"invalid_output": not failed, "incomplete": incomplete, "blocked": blocked, "ambiguous": ambiguous}
    outcomes = ["failed", *(outcome for outcome, asked in wanted.items() if asked)]
    directory = choice.directory(loaded)
    done = retry_rows(loaded, directory, outcomes, list(keys), wall_clock(), from_start=from_start, anew=anew)
    note_reopened(loaded, directory)
    words = run_words(choice, done.target)
    if not done.to_poll + done.to_send:
        with Reader(directory.checkpoint) as reader:
            named = [each for key in keys for each in rows_called(loaded, reader, key)]
            say("\n".join(nothing_to_retry(reader, named, outcomes, words)))
        return
    if done.to_poll:
        say(f"{counted(done.to_poll, 'row')} pending again, to be polled once more for free (--anew would pay again).")
    if done.to_send:
        say(f"{counted(done.to_send, 'row')} pending again; what failed is sent, and billed, anew where it has to be.")
    say(f"Go on with:\n  batchrun run {words}")


@click.command(short_help="Make the output files again.")
@options.run_choice
def export(choice: RunChoice) -> None:
    """Make the output files again from the checkpoint. Nothing is sent."""
    from batchrun.cli.ending import output_lines
    from batchrun.runs.exports import write_outputs
    from batchrun.store.reader import Reader

    loaded = choice.load()
    directory = choice.directory(loaded)
    with Reader(directory.checkpoint) as reader:
        summary = write_outputs(loaded, directory, reader)
    say("\n".join(output_lines(summary)))


@click.command(short_help="Print the JSON Schema of the job file.")
def schema() -> None:
    """Print the JSON Schema of the job file, for editors that complete and check it."""
    from batchrun.spec.model import JobSpec

    click.echo(json.dumps(JobSpec.model_json_schema(), indent=2))
