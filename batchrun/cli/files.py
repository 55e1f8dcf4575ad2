"""`batchrun files`: what was uploaded, and its deletion."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from batchrun.cli import options
from batchrun.cli.printing import say, say_json, shortened
from batchrun.clock import wall_clock
from batchrun.errors import Exit
from batchrun.plurals import counted, duration

_rehearsal = click.option(
    "--run-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of an emulated run, which keeps a list of its own.",
)


@click.group()
def files() -> None:
    """Files that batchrun uploaded for your jobs. They are free, kept for 48 hours, and shared by runs and jobs."""


@files.command("list", short_help="The uploads on record.")
@_rehearsal
@options.as_json
def list_files(run_dir: Path | None, as_json: bool) -> None:
    """List the uploads on record: name, where the file came from, size, age, how long it lives, state."""
    from batchrun.aftercare.uploads import documents, require_rehearsal
    from batchrun.runs.directory import RunDir
    from batchrun.store.files import state_directory

    if run_dir:
        require_rehearsal(RunDir(run_dir))
    found = documents(run_dir or state_directory(os.environ), wall_clock())
    if as_json:
        say_json(found)
        return
    say("\n".join(_lines(found)) if found else "No uploads on record.")


def _lines(found: list[dict[str, Any]]) -> list[str]:
    heads = ("name", "file", "size", "age", "expires in", "state")
    rows = [
        (
            each["name"],
            shortened(each["file"], 40),
            _size(each["bytes"]),
            duration(each["age"]),
            duration(each["expires_in"]),
            each["state"],
        )
        for each in found
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return [*("  ".join(map(str.ljust, row, widths)).rstrip() for row in (heads, *rows)), _stored(found)]


def _stored(found: list[dict[str, Any]]) -> str:
    """How much of the room is taken. Source of the 20 GB: the public page on the Files API."""
    kept = [each["bytes"] for each in found if each["uri"] and each["expires_in"]]
    return (
        f"{counted(len(kept), 'file')} stored, {_size(sum(kept))}; a project has room for 20 GB, other files included"
    )


def _size(count: int) -> str:
    return f"{count / 1e3:,.1f} kB" if count < 1e6 else f"{count / 1e6:,.1f} MB"


@files.command(short_help="Delete uploaded files at the service.")
@click.option("--all", "everything", is_flag=True, help="Delete every upload of this API key at the service.")
@click.option("--expired", is_flag=True, help="Only forget what has expired. The default.")
@options.base_url("Another address of the service, such as that of `emulator serve`.")
@_rehearsal
def clean(everything: bool, expired: bool, base_url: str | None, run_dir: Path | None) -> None:
    """Delete files at the service that batchrun uploaded with this API key, and no others.

    A run that still needs one uploads it again.
    """
    from batchrun.aftercare.uploads import clean as clean_uploads
    from batchrun.aftercare.uploads import rehearsal_client
    from batchrun.runs.directory import RunDir
    from batchrun.runs.service import address_of, checked_base_url, remote_client
    from batchrun.store.files import state_directory

    if everything and expired:
        raise click.UsageError("give --all or --expired, not both")
    if run_dir and base_url:
        raise click.UsageError("--base-url does nothing with --run-dir")
    directory = run_dir or state_directory(os.environ)
    address = checked_base_url(address_of(base_url))
    client = rehearsal_client(RunDir(run_dir)) if run_dir else remote_client(address, "v1beta")
    done = clean_uploads(directory, client, wall_clock, everything=everything)
    say(f"{counted(done.deleted, 'file')} deleted, {done.forgotten:,} already gone")
    if done.left:
        say(f"{counted(done.left, 'file')} left, which --all deletes at the service")
    if done.foreign:
        say(f"{counted(done.foreign, 'file')} left alone: to delete them, set the API key that uploaded them")
    for address, count in done.elsewhere.items():
        say(f"{counted(count, 'file')} at {address} left alone; to clean there: --base-url {address}")
    for line in done.kept:
        say(f"not deleted: {line}")
    if done.kept:
        sys.exit(Exit.TRY_LATER)
