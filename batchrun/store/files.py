"""What we have uploaded and where: one small SQLite file for all runs and jobs of a user; nothing goes up twice.

Losing it costs uploads, which are free. It holds no key, only a salted fingerprint of the one that owns a file.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

from batchrun.errors import StoreError

FILE_NAME = "files.db"
_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS upload (
    sha256 TEXT NOT NULL, mime_type TEXT NOT NULL, owner TEXT NOT NULL, target TEXT NOT NULL,
    name TEXT NOT NULL, size INTEGER NOT NULL, source TEXT NOT NULL, begun_at REAL NOT NULL, expires_at REAL NOT NULL,
    session TEXT, received INTEGER NOT NULL, uri TEXT,
    PRIMARY KEY (sha256, mime_type, owner, target)
) WITHOUT ROWID;
"""
_WHOSE = "sha256 = ? AND mime_type = ? AND owner = ? AND target = ?"


@dataclass(frozen=True, slots=True)
class Content:
    """What makes two uploads the same: the bytes, what they are said to be, whose key, at which service."""

    sha256: str
    mime_type: str
    owner: str
    target: str


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload, which the service calls `name`. Times are Unix seconds; `source` is the file it came from.

    While it is under way `session` is where its bytes go and `received` how many have arrived; when it is complete,
    `uri` is how requests name it.
    """

    content: Content
    name: str
    size: int
    source: str
    begun_at: float
    expires_at: float
    session: str | None = None
    received: int = 0
    uri: str | None = None

    def state(self, now: float) -> str:
        """`uploading`, `uploaded` or `expired`."""
        return "expired" if self.expires_at <= now else "uploading" if self.uri is None else "uploaded"


def state_directory(environment: Mapping[str, str]) -> Path:
    """Where batchrun keeps what belongs to no single run: `BATCHRUN_STATE`, else the user's state directory.

    Raises StoreError for a user without a home.
    """
    if own := environment.get("BATCHRUN_STATE"):
        return Path(own)
    base = environment.get("XDG_STATE_HOME", "")
    if os.path.isabs(base):
        return Path(base) / "batchrun"
    try:
        return Path.home() / ".local" / "state" / "batchrun"
    except RuntimeError as error:
        raise StoreError(f"No place for the list of uploaded files ({error}): set BATCHRUN_STATE.") from None


class FileRegistry:
    """The uploads on record in `directory`, which is made. Raises StoreError where it cannot be used.

    Its calls are short statements on a local file; they are made on the event loop's thread.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE_NAME
        with self._explained():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._claims = os.open(directory / "files.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._connection = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost an upload, no more
            self._connection.execute("PRAGMA trusted_schema = OFF")
            self._refuse_newer()
            self._connection.executescript(_SCHEMA)
            self.salt = self._salt()

    def _refuse_newer(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise StoreError(f"{self.path}: written by a newer batchrun; upgrade to go on.")
        self._connection.execute(f"PRAGMA user_version = {_VERSION}")

    def _salt(self) -> bytes:
        self._connection.execute("INSERT OR IGNORE INTO meta VALUES ('salt', ?)", (os.urandom(16),))
        (salt,) = self._connection.execute("SELECT value FROM meta WHERE name = 'salt'").fetchone()
        return bytes(salt)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"{self.path}: cannot use the list of uploaded files: {error}. It may be deleted; "
                "what it lists is uploaded again."
            ) from error

    def find(self, content: Content) -> Upload | None:
        with self._explained():
            query = f"SELECT * FROM upload WHERE {_WHOSE}"
            row = self._connection.execute(query, astuple(content)).fetchone()
        return None if row is None else _upload(row)

    def keep(self, upload: Upload) -> Upload:
        """Write it down, in the place of an earlier upload of the same content."""
        content, *others = (getattr(upload, field.name) for field in fields(upload))
        values = (*astuple(content), *others)
        with self._explained():
            marks = ", ".join("?" * len(values))
            self._connection.execute(f"INSERT OR REPLACE INTO upload VALUES ({marks})", values)
        return upload

    def received(self, upload: Upload, offset: int) -> Upload:
        return self.keep(replace(upload, received=offset))

    def forget(self, content: Content) -> None:
        with self._explained():
            self._connection.execute(f"DELETE FROM upload WHERE {_WHOSE}", astuple(content))

    def all(self) -> list[Upload]:
        """Every upload, oldest first."""
        with self._explained():
            rows = self._connection.execute("SELECT * FROM upload ORDER BY begun_at, name").fetchall()
        return [_upload(row) for row in rows]

    def bytes_held(self, owner: str, target: str, now: float) -> int:
        """What one key's uploads take up at a service: those under way with the size they will have."""
        query = "SELECT total(size) FROM upload WHERE owner = ? AND target = ? AND expires_at > ?"
        with self._explained():
            (held,) = self._connection.execute(query, (owner, target, now)).fetchone()
        return int(held)

    def claim(self, content: Content) -> bool:
        """Take an upload on for this process until `release`; False while another process has it."""
        with self._explained():
            try:
                fcntl.lockf(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(content))
            except (BlockingIOError, PermissionError):
                return False
        return True

    def release(self, content: Content) -> None:
        fcntl.lockf(self._claims, fcntl.LOCK_UN, 1, _place(content))

    def close(self) -> None:
        self._connection.close()
        os.close(self._claims)


def _upload(row: tuple[Any, ...]) -> Upload:
    return Upload(Content(*row[:4]), *row[4:])


def _place(content: Content) -> int:
    """The byte of the lock file that stands for a content."""
    return int(content.sha256[:15], 16)
