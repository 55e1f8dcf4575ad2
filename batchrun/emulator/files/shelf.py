"""Uploaded files: rows in the emulator's database, bytes in a directory, nothing in memory."""

from __future__ import annotations

import hashlib
import sqlite3
from base64 import b64encode
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, NamedTuple

from batchrun.errors import SpecError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY, upload TEXT NOT NULL UNIQUE, display_name TEXT NOT NULL, mime_type TEXT NOT NULL,
    origin TEXT NOT NULL, declared INTEGER NOT NULL, created REAL NOT NULL, finished REAL, sha256 TEXT NOT NULL
)
"""


class File(NamedTuple):
    """One upload. `finished` is when its last byte came; `declared` its size in bytes; times are Unix seconds."""

    id: str
    upload: str
    display_name: str
    mime_type: str
    origin: str
    declared: int
    created: float
    finished: float | None
    sha256: str

    @property
    def name(self) -> str:
        return f"files/{self.id}"

    @property
    def uri(self) -> str:
        return f"{self.origin}/{self.name}"


class Shelf:
    """The files of one emulator: beside its state file, or in a temporary directory that vanishes with it."""

    def __init__(self, connection: sqlite3.Connection, state: Path | None) -> None:
        self._connection = connection
        self._state = state
        self._temporary: TemporaryDirectory[str] | None = None
        connection.execute(_SCHEMA)

    @property
    def _directory(self) -> Path:
        if self._state is None:
            self._temporary = self._temporary or TemporaryDirectory(prefix="emulated-files-")
            return Path(self._temporary.name)
        directory = self._state.with_name(f"{self._state.name}-files")
        try:
            directory.mkdir(exist_ok=True)
        except OSError as error:
            raise SpecError(f"cannot keep files in {str(directory)!r} ({error}); choose another state file") from error
        return directory

    def path(self, file: File) -> Path:
        return self._directory / file.id

    def begin(self, file: File) -> None:
        self._connection.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", file)
        self.path(file).touch()

    def received(self, file: File) -> int:
        """Bytes that have arrived so far."""
        return self.path(file).stat().st_size

    def append(self, file: File) -> BinaryIO:
        return self.path(file).open("ab")

    def cut(self, file: File, size: int) -> None:
        """Forget the bytes from `size` on: of a chunk that broke off, only whole granules are kept."""
        with self.path(file).open("r+b") as content:
            content.truncate(size)

    def finish(self, file: File, now: float) -> File:
        with self.path(file).open("rb") as content:
            hashed = hashlib.file_digest(content, "sha256").hexdigest()
        done = file._replace(finished=now, sha256=b64encode(hashed.encode()).decode())
        self._connection.execute("UPDATE files SET finished = ?, sha256 = ? WHERE id = ?", (now, done.sha256, file.id))
        return done

    def find(self, file_id: str) -> File | None:
        return self._one("SELECT * FROM files WHERE id = ? AND finished IS NOT NULL", file_id)

    def of_upload(self, upload: str) -> File | None:
        return self._one("SELECT * FROM files WHERE upload = ?", upload)

    def _one(self, query: str, value: str) -> File | None:
        row = self._connection.execute(query, (value,)).fetchone()
        return File(*row) if row else None

    def knows(self, origin: str) -> bool:
        """Whether files were uploaded under this address: others that look like it belong to somebody else."""
        query = "SELECT 1 FROM files WHERE origin = ? LIMIT 1"
        return self._connection.execute(query, (origin,)).fetchone() is not None

    def taken(self, file_id: str) -> bool:
        return self._one("SELECT * FROM files WHERE id = ?", file_id) is not None

    def delete(self, file: File) -> None:
        self._connection.execute("DELETE FROM files WHERE id = ?", (file.id,))
        self.path(file).unlink(missing_ok=True)

    def page(self, size: int, after: int, created_after: float) -> tuple[list[File], int | None]:
        """Files younger than `created_after`, oldest first, and where the next page goes on."""
        shown = "rowid > ? AND created > ? AND finished IS NOT NULL"
        query = f"SELECT rowid, * FROM files WHERE {shown} ORDER BY rowid LIMIT ?"
        rows = self._connection.execute(query, (after, created_after, size + 1)).fetchall()
        return [File(*row[1:]) for row in rows[:size]], rows[size - 1][0] if len(rows) > size else None

    def bytes_held(self) -> int:
        """What counts against the project's quota: started uploads with their declared size."""
        (held,) = self._connection.execute("SELECT total(declared) FROM files").fetchone()
        return int(held)

    def purge(self, created_before: float) -> None:
        """Delete what has expired."""
        query = "SELECT * FROM files WHERE created <= ?"
        for row in self._connection.execute(query, (created_before,)).fetchall():
            self.delete(File(*row))

    def close(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()
