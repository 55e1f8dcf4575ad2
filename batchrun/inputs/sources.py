"""The files a job's `input.path` means, opened safely, and one hash over all of them."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Literal

from batchrun.errors import SpecError
from batchrun.spec.canonical import canonical_json
from batchrun.spec.model import InputSpec

Kind = Literal["jsonl", "gzip", "parquet"]

_BY_SUFFIX: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".gz": "gzip",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_NOT_ROWS = {".csv", ".tsv", ".xlsx", ".xls", ".yaml", ".yml", ".toml"}


@dataclass(frozen=True, slots=True)
class Source:
    """One input file. `name` is how messages and row keys call it: as the job file wrote it."""

    name: str
    path: Path

    def open(self) -> BufferedReader:
        """The file, opened without waiting. Raises SpecError where it is missing, unreadable or no regular file."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            raise SpecError(f"{self.name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise SpecError(f"{self.name}: not a regular file; pipe rows in with the path `-`")
        return open(descriptor, "rb")

    def kind(self) -> Kind:
        """What the file is, by its name and, for other names, by its first bytes. Raises SpecError."""
        suffix = self.path.suffix.lower()
        if suffix in _NOT_ROWS:
            raise SpecError(f"{self.name}: {suffix} is not read; convert it to JSONL or Parquet")
        with self.open() as file:
            start = file.read(64)
        if suffix == ".json" and start.lstrip().startswith(b"["):
            raise SpecError(f"{self.name}: one JSON array; write one object on each line (`jq -c '.[]'` does it)")
        return _BY_SUFFIX.get(suffix) or _by_content(start)


def _by_content(start: bytes) -> Kind:
    if start.startswith(b"PAR1"):
        return "parquet"
    return "gzip" if start.startswith(b"\x1f\x8b") else "jsonl"


def find_sources(spec: InputSpec, base: Path) -> list[Source]:
    """The files of an input section, in the order they are read. Raises SpecError where there are none."""
    if not glob.has_magic(spec.path) or os.path.lexists(base / spec.path):
        return [Source(_printable(spec.path), base / spec.path)]
    names = sorted(glob.glob(spec.path, root_dir=base, recursive=True))
    found = [Source(_printable(name), base / name) for name in names if not (base / name).is_dir()]
    if not found:
        raise SpecError(f"input.path: no file matches {spec.path!r} in {base}")
    return found


def _printable(name: str) -> str:
    """The name as text, whatever bytes the file system holds."""
    return os.fsencode(name).decode(errors="replace")


def fingerprint(spec: InputSpec, base: Path) -> str | None:
    """Hex SHA-256 over the input section, the list of files and their contents; None for standard input.

    Reads every byte. Raises SpecError.
    """
    if spec.path == "-":
        return None
    total = hashlib.sha256(canonical_json(spec.model_dump(mode="json")))
    for source in find_sources(spec, base):
        with source.open() as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(canonical_json([source.name, content]))
    return total.hexdigest()
