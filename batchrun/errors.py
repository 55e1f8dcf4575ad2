"""Every error batchrun raises on purpose, and the exit code each one ends a command with.

BatchrunError
├── SpecError            65   the job file or its input is wrong; nothing was sent
├── RunError             75   the run has to stop; every row stays resumable
│   ├── LockedError      75   another process runs this run directory
│   ├── RefusedError     75   the service refuses everything for now (outage, no network)
│   │   └── QuotaError   75   it takes no more POSTs today; polls still work
│   ├── BudgetError      75   the job's own limit in money leaves no room; polls still work
│   ├── ModelError       65   the key is accepted, but may not use the job's model; polls still work
│   ├── CredentialError  77   no API key, or the service does not accept it
│   ├── StoreError       74   the checkpoint cannot be written or read
│   ├── InvariantError   70   our own books do not add up
│   └── Stopped     130/143   a signal asked us to stop
└── RowError              –   one row cannot go on; the others do
    └── HeldError         –   only the user can say how the row goes on

Messages say what happened, where, and what to do next. They may quote rows and server answers,
so whatever prints them must escape control characters.
"""

from __future__ import annotations

import sqlite3
import zlib
from enum import IntEnum
from errno import EDQUOT, EIO, EMFILE, ENFILE, ENOSPC

#: What the system says of a disk that is full or broken, whatever is asked of it.
DISK_TROUBLE = frozenset({EDQUOT, EIO, ENOSPC})
#: What it says when no file or connection can be opened any more, as when a function of the user's leaves all open.
OUT_OF_FILES = frozenset({EMFILE, ENFILE})


class Exit(IntEnum):
    """Exit codes of the command line."""

    OK = 0
    SOME_ROWS_FAILED = 3
    ROWS_HELD = 4
    USAGE = 2
    BAD_INPUT = 65
    INTERNAL = 70
    DISK = 74
    TRY_LATER = 75
    CREDENTIALS = 77
    SIGINT = 130
    SIGTERM = 143


class BatchrunError(Exception):
    """An error that is explained to the user in one message."""

    exit_code: Exit = Exit.INTERNAL


class SpecError(BatchrunError):
    """The job file or its input is wrong; nothing was sent."""

    exit_code = Exit.BAD_INPUT


class RunError(BatchrunError):
    """The run has to stop; every row stays resumable."""

    exit_code = Exit.TRY_LATER


class LockedError(RunError):
    """Another process runs this run directory."""


class RefusedError(RunError):
    """The service refuses everything for now."""


class QuotaError(RefusedError):
    """The service takes no more POSTs for now; what was submitted can still be fetched."""


class BudgetError(RunError):
    """A limit in money has no room for the next request; what was submitted can still be fetched.

    It is the job's, or that of a `stage` alone.
    """

    def __init__(self, message: str, stage: str = "") -> None:
        super().__init__(message)
        self.stage = stage


class ModelError(RunError):
    """The key is accepted, but may not use the job's model; what was submitted can still be fetched."""

    exit_code = Exit.BAD_INPUT


class CredentialError(RunError):
    """No API key, or one the service does not accept."""

    exit_code = Exit.CREDENTIALS


class StoreError(RunError):
    """The checkpoint cannot be written or read."""

    exit_code = Exit.DISK


def store_error_of(error: BaseException) -> StoreError | None:
    """The StoreError that an error of the system or of a checkpoint's bytes amounts to; None for any other."""
    if isinstance(error, sqlite3.Error | zlib.error):
        return StoreError(f"the checkpoint cannot be used: {error}. What was submitted goes on at the service.")
    if isinstance(error, OSError) and error.errno in OUT_OF_FILES:
        return StoreError(
            f"{error.strerror}: this process holds all that it may (`ulimit -n`), perhaps because a function of the "
            "job leaves files open. What was sent is on record; put that right, then run the same command again."
        )
    return None


class InvariantError(RunError):
    """Our own books do not add up."""

    exit_code = Exit.INTERNAL


class Stopped(RunError):
    """A signal asked the run to stop."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = Exit(128 + signal_number)


class RowError(BatchrunError):
    """One row cannot go on. `kind` becomes the row's `error_class`, the message its `error_message`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class HeldError(RowError):
    """Only the user can say how the row goes on: going on by itself might do something twice."""
