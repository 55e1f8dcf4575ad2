"""Standard output for what a command says alone: a job's Python, and what that starts, may print as well."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from typing import TextIO

_ours: ContextVar[TextIO | None] = ContextVar("ours", default=None)


def output() -> TextIO | None:
    """Where a command's result goes; None for `sys.stdout`."""
    return _ours.get()


@contextmanager
def own_output() -> Iterator[None]:
    """Inside, `print` in this process goes to standard error, in whatever thread; `output` is where it went before."""
    token = _ours.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _ours.reset(token)


def hide_descriptor() -> None:
    """Move this process's standard output to a descriptor that no child has. Theirs, and 1, is standard error then."""
    shown: TextIO | None = sys.stdout
    if shown is not None:  # the shell may have closed it
        lines = 1 if shown.line_buffering else -1
        sys.stdout = os.fdopen(os.dup(1), "w", buffering=lines, encoding=shown.encoding, errors=shown.errors)
        _copy_errors_to(1)


def drop_unread() -> None:
    """See that what the reader of a pipe did not want is no failure of the interpreter when it ends."""
    shown: TextIO | None = sys.stdout
    try:
        if shown is not None:
            shown.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), sys.stdout.fileno())


def _copy_errors_to(descriptor: int) -> None:
    try:
        os.dup2(2, descriptor)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), descriptor)
