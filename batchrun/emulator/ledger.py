"""What would have been billed: one JSON line for every POST create that arrived, accepted or refused.

A line is written with one `os.write` on an append-only descriptor before the answer is sent, so it outlives the client
and the server alike.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchrun.emulator.answers import dump
from batchrun.errors import SpecError


@dataclass(frozen=True, slots=True)
class Entry:
    """One POST create. `status` is the HTTP status decided on, 0 where the connection was dropped without one."""

    time: float
    status: int
    id: str | None
    billed: bool
    labels: Mapping[str, str] | None
    model: str | None
    agent: str | None
    request_sha256: str
    occurrence: int
    usage: Mapping[str, Any] | None
    fault: str | None


class Ledger:
    """Appends entries to a file; without a path it keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._descriptor = None if path is None else _open(path)

    @property
    def kept(self) -> bool:
        """Whether there is a file; without one an entry need not be made."""
        return self._descriptor is not None

    def write(self, entry: Entry) -> None:
        if self._descriptor is not None:
            # Escaped to ASCII: a label may hold anything that JSON can, a lone surrogate too.
            line = {name: getattr(entry, name) for name in Entry.__slots__}
            os.write(self._descriptor, dump(line, ascii_only=True) + b"\n")

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise SpecError(f"cannot write the ledger {str(path)!r}: {error.strerror}; choose another file") from error


def read_ledger(path: Path | str) -> list[dict[str, Any]]:
    """The entries of a ledger file in the order of arrival. A last line without its end is left out."""
    lines = Path(path).read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]
