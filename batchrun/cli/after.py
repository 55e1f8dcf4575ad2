"""The commands for after a run: approve, cancel, download, purge."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchrun.cli import options
from batchrun.cli.options import RunChoice
from batchrun.cli.printing import say, say_json, shortened
from batchrun.clock import wall_clock
from batchrun.plurals import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchrun.aftercare.approval import Plan
    from batchrun.aftercare.cancellation import Cancelled
    from batchrun.aftercare.downloads import Fetched
    from batchrun.aftercare.purge import Purged
    from batchrun.runs.directory import RunDir

#: Lines of a plan, or rows with something to tell, that are shown.
_SHOWN_LINES = 8
_SHOWN = 20
_WIDTH = 160

_keys = click.option("--key", "--row", "keys", multiple=True, metavar="KEY", help="Only this row. May be repeated.")


@click.command(short_help="Stop at the service what is in flight.")
@options.run_choice
@options.service
@_keys
@options.as_json
def cancel(choice: RunChoice, base_url: str | None, api_version: str, keys: tuple[str, ...], as_json: bool) -> None:
    """Stop at the service what a run has in flight there. Stop the run itself first.

    Cancelled rows end as failed (`cancelled`); an answer that came before the cancel is kept; rows that were never sent
    stay pending. Exit code 3 if something may still be running.
    """
    from batchrun.aftercare.cancellation import cancel as cancel_interactions
    from batchrun.cli.ending import run_words
    from batchrun.runs.options import service_of

    loaded = choice.load()
    directory = choice.directory(loaded)
    service = service_of(loaded, directory, base_url, api_version)
    done = cancel_interactions(loaded, directory, service, keys)
    if as_json:
        say_json(done.document())
    else:
        same = choice.words(emulated=service.emulator is not None)
        say("\n".join(_cancelled(done, same, run_words(choice, service.target))))
    sys.exit(done.exit_code)


def _cancelled(done: Cancelled, same: str, run: str) -> Iterator[str]:
    """`same` are the words that name this run, `run` those that go on with it."""
    from batchrun.aftercare.cancellation import Fate

    counts = [f"{done.fates[fate]:,} {_FATES[fate]}" for fate in Fate if done.fates[fate]]
    if not done.asked:
        yield "Nothing to cancel: no interaction of these rows is in flight at the service."
    else:
        yield f"{counted(len(done.asked), 'interaction')} asked to stop: {', '.join(counts)}"
    yield from _some([f"  row {each.key}: {_FATES[each.fate]}: {each.said}" for each in done.unsettled])
    if done.unsettled:
        yield "Cancel again later, or let `batchrun run` wait for their answers."
    if done.fates[Fate.ANSWERED]:
        yield f"The answers that came are kept and not paid again; rows go on from them with: batchrun run {run}"
    if done.fates[Fate.CANCELLED]:
        yield f"Send the cancelled rows again, billed anew, with: batchrun retry {same}"
    if unsent := done.summary.pending - done.summary.in_flight - done.fates[Fate.ANSWERED]:
        yield f"{counted(unsent, 'row')} not in flight: pending as before"
    if done.nameless:
        yield f"{counted(done.nameless, 'POST')} of unknown fate: what they may have begun has no id to cancel it by"


_FATES = {
    "cancelled": "cancelled",
    "answered": "answered before that",
    "running": "asked, still running",
    "unknown": "asked, and the service does not tell",
}


@click.command(short_help="Delete a finished run's interactions.")
@options.run_choice
@options.service
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--keep-files", is_flag=True, help="Leave uploaded files, which expire by themselves after 48 hours.")
@click.option("--force", is_flag=True, help="Also while rows are pending or await approval: they begin anew later.")
@options.as_json
def purge(
    choice: RunChoice, base_url: str | None, api_version: str, yes: bool, keep_files: bool, force: bool, as_json: bool
) -> None:
    """Delete every interaction of a finished run at the service, and the files uploaded for it.

    Results, answers and media on this machine stay. Another run that needs one of the files uploads it again.

    The output files are brought up to date first. Use it again for what could not be deleted: then the exit code is 3.
    """
    from batchrun.aftercare.purge import count_due
    from batchrun.aftercare.purge import purge as purge_run
    from batchrun.runs.options import service_of

    loaded = choice.load()
    directory = choice.directory(loaded)
    service = service_of(loaded, directory, base_url, api_version)
    count, files = count_due(directory, force=force, keep_files=keep_files)
    uploaded = f" and {counted(files, 'uploaded file')}" if files else ""
    question = f"Delete {counted(count, 'interaction')}{uploaded} of {directory.path} at the service?"
    if (count or files) and not (yes or _confirmed(question)):
        say("Nothing was deleted.")
        return
    done = purge_run(loaded, directory, service, force=force, files=not keep_files)
    if as_json:
        say_json(done.document())
    else:
        say("\n".join(_purged(done, directory)))
    sys.exit(done.exit_code)


def _confirmed(question: str) -> bool:
    from batchrun.glyphs import safe

    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError(f"{safe(question)} Nobody is there to confirm that: say --yes. Nothing was deleted.")
    try:
        return click.confirm(safe(question), err=True)
    except click.Abort:  # Ctrl-C, or the end of the input
        return False


def _purged(done: Purged, directory: RunDir) -> Iterator[str]:
    yield f"{counted(done.deleted, 'interaction')} deleted at the service, {done.gone:,} already gone"
    if done.files:
        yield f"{counted(done.files, 'uploaded file')} deleted there, too"
    if done.kept or done.others:
        yield f"{len(done.kept) + len(done.others):,} not deleted; use the same command again:"
    yield from _some([f"  row {each.key}, {each.interaction_id}: {each.why}" for each in done.kept])
    yield from _some([f"  {each}" for each in done.others])
    if done.running:
        yield f"{counted(done.running, 'interaction')} in flight left alone: `batchrun cancel` first"
    if done.nameless:
        yield f"{counted(done.nameless, 'POST')} of unknown fate: what they may have stored has no id to delete it by"
    yield "Left there, until they expire: agents' environments, and files that the service made for answers."
    yield f"On this machine everything stays, media too: {directory.path}"


@click.command(short_help="Fetch the files that agents have made.")
@options.run_choice
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@options.service
@_keys
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), help="Another place than the run directory.")
@options.as_json
def download(
    choice: RunChoice,
    patterns: tuple[str, ...],
    base_url: str | None,
    api_version: str,
    keys: tuple[str, ...],
    to: Path | None,
    as_json: bool,
) -> None:
    """Fetch the files that agents left in their environments: all, or those that a PATTERN such as '*.csv' fits.

    They go to `environments/KEY` in the run directory. The service keeps an environment for seven days after its last
    use. Exit code 3 if something could not be fetched.
    """
    from batchrun.aftercare.downloads import download as download_files
    from batchrun.runs.options import service_of

    loaded = choice.load()
    directory = choice.directory(loaded)
    service = service_of(loaded, directory, base_url, api_version)
    done = download_files(loaded, directory, service, keys, patterns, to)
    if as_json:
        say_json([row.document() for row in done.rows])
    else:
        say("\n".join(_downloaded(done.rows)))
    sys.exit(done.exit_code)


def _downloaded(rows: Sequence[Fetched]) -> Iterator[str]:
    if not rows:
        yield "Nothing to fetch: no finished row has an environment. Only agents with a sandbox have one."
    for row in rows:
        if row.written or row.same:
            yield f"row {row.key}: {counted(len(row.written), 'file')} written, {len(row.same):,} here already"
            yield f"  {row.directory}"
        elif not row.problems:
            yield f"row {row.key}: no file that was asked for"
        yield from _some([f"row {row.key}: {problem}" for problem in row.problems])


@click.command(short_help="Say a word on research plans that wait.")
@options.run_choice
@_keys
@click.option("--all", "everything", is_flag=True, help="Every plan that waits.")
@click.option("--refine", metavar="TEXT", help="Do not approve: ask for another plan that heeds TEXT.")
@options.as_json
def approve(choice: RunChoice, keys: tuple[str, ...], everything: bool, refine: str | None, as_json: bool) -> None:
    """Say a word on research plans that wait for approval. Without --key or --all, list them. Nothing is sent.

    The next `run` carries the approved plans out, each as a new, billed interaction.
    """
    from batchrun.aftercare.approval import plans, tell
    from batchrun.cli.ending import run_words
    from batchrun.engine.conversation import Word
    from batchrun.runs.directory import EMULATED
    from batchrun.runs.scheduled import note_reopened

    _check_words(keys, everything, refine)
    loaded = choice.load()
    directory = choice.directory(loaded)
    if not (keys or everything):
        waiting, target = plans(directory)
        _list_plans(waiting, choice.words(emulated=target == EMULATED), as_json)
        return
    count, target = tell(loaded, directory, keys, Word(refine is None, refine or ""), wall_clock())
    note_reopened(loaded, directory)
    if as_json:
        say_json({"told": count, "approved": refine is None})
        return
    if not count:
        say("No plan waits for approval; nothing was recorded. What is approved cannot be taken back.")
        return
    said = "approved" if refine is None else "to be made anew"
    say(f"{counted(count, 'plan')} {said}; nothing was sent. Go on with:")
    say(f"  batchrun run {run_words(choice, target)}")


def _check_words(keys: Sequence[str], everything: bool, refine: str | None) -> None:
    if keys and everything:
        raise click.UsageError("give --key or --all, not both")
    if refine is not None and not (keys or everything):
        raise click.UsageError("--refine needs --key or --all: which plans is it about?")
    if refine is not None and not refine.strip():
        raise click.UsageError("--refine needs a text: what should be different?")


def _list_plans(waiting: Sequence[Plan], same: str, as_json: bool) -> None:
    if as_json:
        say_json([{"key": plan.key, "plan": plan.text} for plan in waiting])
        return
    for plan in waiting:
        say(f"row {plan.key}:")
        say("\n".join(_first_lines(plan.text)))
    if not waiting:
        say("No plan waits for approval.")
        return
    say(f"{counted(len(waiting), 'plan')} to approve. All of a plan: batchrun show {same} KEY")
    say(f"Approve with: batchrun approve {same} --key KEY (or --all)")
    say(f"Ask for another with: batchrun approve {same} --key KEY --refine 'what should be different'")


def _first_lines(text: str) -> list[str]:
    lines = [f"  {shortened(line, _WIDTH)}" for line in text.splitlines() if line.strip()]
    more = len(lines) - _SHOWN_LINES
    return [*lines[:_SHOWN_LINES], *([f"  … and {counted(more, 'line')} more"] if more > 0 else [])]


def _some(lines: Sequence[str]) -> Iterator[str]:
    """The first lines, each of a bounded length, and how many more there are."""
    yield from (line[: len(line) - len(line.lstrip())] + shortened(line, _WIDTH) for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield f"  … and {len(lines) - _SHOWN:,} more"
