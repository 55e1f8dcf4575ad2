"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

job = click.argument("job", type=click.Path(path_type=Path))
overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Replace a value of the job file, such as limits.rpm=60. May be repeated.",
)
run_dir = click.option(
    "--run-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of the run.  [default: runs/NAME beside the job file]",
)
emulated = click.option("--emulator", "emulated", is_flag=True, help="The run that was made on the emulator.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON only.")


def run_choice(command: F) -> F:
    """Options that name one run of a job."""
    return run_dir(emulated(overrides(job(command))))
