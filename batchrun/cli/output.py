"""Streams for what a command says alone: a job's Python, and what that starts, may print, and close what it has."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from typing import TextIO

_ours: ContextVar[TextIO | None] = ContextVar("ours", default=None)
_errors: ContextVar[TextIO | None] = ContextVar("errors", default=None)


def output() -> TextIO | None:
    """Where a command's result goes; None for `sys.stdout`."""
    return _ours.get()


def errors() -> TextIO | None:
    """Where a command says what goes on: standard error, also after a function has closed or replaced that."""
    return _errors.get() or sys.stderr


@contextmanager
def own_output() -> Iterator[None]:
    """Inside, `print` in this process goes to standard error, in whatever thread; `output` is where it went before."""
    token = _ours.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _ours.reset(token)


def hide_descriptors() -> None:
    """Move this process's own output to descriptors that no child has and that no job's Python knows of.

    Theirs, and 1 and 2, are standard error then.
    """
    _errors.set(_on_another_descriptor(sys.stderr, 2))
    shown = _on_another_descriptor(sys.stdout, 1)
    if shown is not None:
        sys.stdout = shown
        _copy_errors_to(1)


def _on_another_descriptor(shown: TextIO | None, descriptor: int) -> TextIO | None:
    """The same stream on a descriptor of its own; None where the shell has closed it."""
    if shown is None:
        return None
    lines = 1 if shown.line_buffering else -1
    return os.fdopen(os.dup(descriptor), "w", buffering=lines, encoding=shown.encoding, errors=shown.errors)


def end_output() -> None:
    """Write what is left of standard output. What functions still print, in threads and at the exit, is not for it.

    What could not be written (the reader of a pipe has left, the disk is full) has been told by then, and is dropped.
    """
    shown: TextIO | None = sys.stdout
    try:
        if shown is not None:
            shown.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), sys.stdout.fileno())
    sys.stdout = sys.stderr


def _copy_errors_to(descriptor: int) -> None:
    try:
        os.dup2(2, descriptor)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), descriptor)
