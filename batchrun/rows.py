"""What a row is and how it can end. Plain values; nothing here reads, writes or decides."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """The one class in which a row ends. A row without an outcome is pending.

    INCOMPLETE: the answer is cut off, and kept. BLOCKED: the service refuses the content (safety, recitation, …).
    AWAITING_APPROVAL: a research plan waits for the user's word. AMBIGUOUS: nobody can tell whether it was billed.
    SKIPPED: a condition left the row of a stage out, or what it needs has failed.
    """

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INVALID_OUTPUT = "invalid_output"
    INCOMPLETE = "incomplete"
    BLOCKED = "blocked"
    AWAITING_APPROVAL = "awaiting_approval"
    AMBIGUOUS = "ambiguous"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finish:
    """How a row ends: its outcome, and for all but success a stable class and a message for people."""

    outcome: Outcome
    kind: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row failed: a stable class (`bad_json`, `media_missing`, …) and a message for people."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class InputRow:
    """One row as the input holds it.

    `source` is `file:line` (JSONL) or `file#row` (Parquet), 1-based. `sha` is the hex SHA-256 of the canonical
    JSON of `data`, or of the raw bytes where they cannot be parsed; then `data` is None. A row with a `problem` fails
    and is never sent.
    """

    key: str
    source: str
    sha: str
    data: dict[str, Any] | None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of an input, `name` as the job finds it. `ctime_ns` is when anybody last wrote to it or moved it, which no
    program can forge; `sha256` (hex) is that of its content."""

    name: str
    bytes: int
    ctime_ns: int
    sha256: str


def key_of(stage: str, key: str) -> str:
    """The key of a stage's row among those of all stages."""
    return f"{stage}:{key}" if stage else key


def key_within(stage: str, key: str) -> str:
    """A row's key without the name of its stage."""
    return key.removeprefix(f"{stage}:") if stage else key
