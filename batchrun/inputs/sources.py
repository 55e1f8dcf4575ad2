"""The files a job's input means, opened safely, and one hash over all of them."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal

from batchrun.errors import SpecError
from batchrun.inputs.folder import Listed, list_files
from batchrun.rows import InputFile
from batchrun.spec.canonical import canonical_json
from batchrun.spec.model import InputSpec

Kind = Literal["jsonl", "gzip", "parquet"]
#: The files that a slot has taken of the input; None where all of them are meant.
Taken = tuple[InputFile, ...] | None

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


def find_sources(spec: InputSpec, base: Path, taken: Taken = None) -> list[Source]:
    """The files that rows are read from, in that order; `taken` are those that a slot has taken of them.

    Raises SpecError where there are none.
    """
    if taken is not None:
        return [Source(_printable(file.name), base / file.name) for file in taken]
    path = spec.path or ""
    if not glob.has_magic(path) or os.path.lexists(base / path):
        return [Source(_printable(path), base / path)]
    names = sorted(glob.glob(path, root_dir=base, recursive=True))
    found = [Source(_printable(name), base / name) for name in names if not (base / name).is_dir()]
    if not found:
        raise SpecError(f"input.path: no file matches {path!r} in {base}")
    return found


def find_documents(spec: InputSpec, base: Path) -> list[Listed]:
    """The files that are rows themselves. Raises SpecError where there are none."""
    assert spec.files is not None
    found = list_files(spec.files, base, "input.files")
    if not found:
        raise SpecError(f"input.files: no file matches {spec.files!r} in {base}")
    return found


def _printable(name: str) -> str:
    """The name as text, whatever bytes the file system holds."""
    return os.fsencode(name).decode(errors="replace")


def fingerprint(spec: InputSpec, base: Path, taken: Taken = None) -> str | None:
    """Hex SHA-256 over the input section, the list of files and their contents; None for standard input.

    Reads every byte, but for documents, of which it looks at the size and when they were last written to. Raises
    SpecError.
    """
    if spec.path == "-":
        return None
    total = hashlib.sha256(canonical_json(spec.model_dump(mode="json", exclude_defaults=True)))
    for told in _contents(spec, base, taken):
        total.update(canonical_json(told))
    return total.hexdigest()


def _contents(spec: InputSpec, base: Path, taken: Taken) -> Iterator[list[Any]]:
    if taken is not None:
        yield from ([file.name, file.sha256] for file in taken)
    elif spec.files is not None:
        yield from ([file.shown, file.bytes, file.ctime_ns] for file in find_documents(spec, base))
    else:
        for source in find_sources(spec, base):
            with source.open() as file:
                yield [source.name, hashlib.file_digest(file, "sha256").hexdigest()]
