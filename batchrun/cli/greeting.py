"""What `emulator serve` tells its user beside its address: on standard error, so that the address can be piped."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from batchrun.cli.printing import note
from batchrun.plurals import counted

if TYPE_CHECKING:
    from batchrun.emulator import Counts


def announce(url: str, replies: str) -> None:
    """The address on standard output, alone on its line, then what can be done with it."""
    print(url, flush=True)
    note(_source(*_parted(replies)))
    note(f"To use it:  export BATCHRUN_RUN_BASE_URL={url}")
    note("Ctrl-C stops it.")


def announce_loading(replies: str) -> None:
    """A model file takes a while."""
    kind, path = _parted(replies)
    if kind == "gguf":
        note(f"Loading {Path(path).name} ({Path(path).stat().st_size / 1e6:,.1f} MB) ...")


def say_goodbye(counts: Counts) -> None:
    made = counted(counts.posts - counts.refused, "interaction")
    refused = f"; {counted(counts.refused, 'create')} refused" if counts.refused else ""
    after_mark = "\n" if sys.stderr.isatty() else ""  # the terminal has written ^C
    note(f"{after_mark}Stopped after {made} and {counted(counts.gets, 'poll')}{refused}.")


def _parted(replies: str) -> tuple[str, str]:
    kind, _, rest = replies.strip().partition(":")
    return kind, rest


def _source(kind: str, rest: str) -> str:
    match kind:
        case "script":
            return f"Answers come from {rest}, and are made up where none of its lines fits."
        case "openai":
            return f"Answers come from the model server at {rest}."
        case "gguf":
            return f"Answers come from {Path(rest).name}, a model on this machine, one at a time."
    return "Answers are made up; with --replies a script or a model can give them."
