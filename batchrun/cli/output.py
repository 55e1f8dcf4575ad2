"""Streams for what a command says alone: a job's Python, and what that starts, may print, and close what it has."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from io import TextIOWrapper
from typing import TextIO

from batchrun.errors import StoreError

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
    _errors.set(_on_another_descriptor(sys.stderr, 2, "standard error"))
    shown = _on_another_descriptor(sys.stdout, 1, "standard output")
    if shown is not None:
        sys.stdout = shown
        _copy_errors_to(1)


class _Stream(TextIOWrapper):
    """A stream that raises StoreError where the disk refuses, whoever prints; BrokenPipeError if nobody reads it."""

    def __init__(self, descriptor: int, like: TextIO, name: str) -> None:
        raw = os.fdopen(descriptor, "wb")
        super().__init__(raw, encoding=like.encoding, errors=like.errors, line_buffering=bool(like.line_buffering))
        self._said = name

    def write(self, text: str) -> int:
        with self._explained():
            return super().write(text)

    def flush(self) -> None:
        with self._explained():
            super().flush()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise BrokenPipeError(f"nobody reads {self._said}") from None  # with its number click would end with 1
        except OSError as error:
            raise StoreError(f"cannot write to {self._said}: {error.strerror}. What was done is on record.") from error


def _on_another_descriptor(shown: TextIO | None, descriptor: int, name: str) -> TextIO | None:
    """The same stream on a descriptor of its own; None where the shell has closed it."""
    return None if shown is None else _Stream(os.dup(descriptor), shown, name)


def end_output() -> None:
    """Write what is left of standard output. What functions still print, in threads and at the exit, is not for it.

    What could not be written (the reader of a pipe has left, the disk is full) has been told by then, and is dropped.
    """
    shown: TextIO | None = sys.stdout
    try:
        if shown is not None:
            shown.flush()
    except (OSError, StoreError):
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), sys.stdout.fileno())
    sys.stdout = sys.stderr


def _copy_errors_to(descriptor: int) -> None:
    try:
        os.dup2(2, descriptor)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), descriptor)
