"""Printing for people: nothing that a row, a file or a server said can move the cursor or hide in the text."""

from __future__ import annotations

import json
import unicodedata
from contextlib import suppress
from typing import Any

import click

from batchrun.cli.output import errors, output
from batchrun.errors import StoreError
from batchrun.glyphs import HIDDEN, KEPT, safe
from batchrun.spec.canonical import shallow


def say(text: str = "") -> None:
    """One line of result, on standard output."""
    write(f"{safe(text)}\n")


def note(text: str) -> None:
    """One line about what goes on, on standard error, so that standard output can be piped."""
    tell(f"{safe(text)}\n")


def fail(text: str) -> None:
    """An error, on standard error. Where that cannot be written, the exit code has to say it."""
    with suppress(OSError, StoreError):
        tell(f"{click.style('error: ', fg='red', bold=True)}{safe(text)}\n")


def say_json(value: Any) -> None:
    """JSON that people can read and that no terminal trips over."""
    write(f"{json_text(value)}\n")


def write(text: str) -> None:
    """A part of the result as it is, on standard output. Raises BrokenPipeError if it is not read, else StoreError."""
    click.echo(text, file=output(), nl=False)


def tell(text: str) -> None:
    """Text as it is, on standard error."""
    click.echo(text, file=errors(), nl=False, err=True)


def json_text(value: Any) -> str:
    """Indented JSON; what `safe` would escape is escaped as JSON does it.

    What is nested too deep to be indented is shown as far as `shallow` goes.
    """
    try:
        text = json.dumps(value, indent=2, default=str, ensure_ascii=False)
    except RecursionError:
        text = json.dumps(shallow(value), indent=2, default=str, ensure_ascii=False)
    return "".join(c if c in KEPT or unicodedata.category(c) not in HIDDEN else json.dumps(c)[1:-1] for c in text)


def shortened(text: str, width: int) -> str:
    """`text` on one line of at most `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: max(0, width - 1)] + "…"
