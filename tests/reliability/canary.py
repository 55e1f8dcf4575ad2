"""A key that is nobody's, and the search for it in all that a run leaves behind."""

from __future__ import annotations

import copy
import pickle
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from traceback import TracebackException
from typing import Any

import pyarrow.parquet as pq

from batchrun.interactions.client import SecretHeaders

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
#: So many characters of a key are found wherever they are.
_PART = 12


def a_key(seed: int = 0, form: str = "AI" + "za") -> str:
    """A key in the form of Google's; it is made here, for no file may hold one."""
    return form + "".join(Random(seed).choices(_LETTERS, k=35))


class Canary:
    """`key` and its parts, which must be nowhere."""

    def __init__(self, key: str) -> None:
        self._parts = [key[start : start + _PART].encode() for start in range(4, len(key) - _PART + 1)]

    def __call__(self, data: bytes | str) -> bool:
        """Whether it sings: the key, or a longer part of it, is in the data."""
        content = data.encode("utf-8", "replace") if isinstance(data, str) else data
        return any(part in content for part in self._parts)

    def files(self, where: Path) -> Iterator[str]:
        """The files below `where` that hold it, as they are or unpacked."""
        for path in sorted(where.rglob("*")):
            if path.is_file() and any(self(data) for data in _contents(path)):
                yield str(path.relative_to(where))
            if self(path.name):
                yield f"the name of {path.parent}"

    def objects(self, **things: Any) -> Iterator[str]:
        """What tells the key of these objects when it is shown, formatted, pickled or copied."""
        for name, thing in things.items():
            yield from (f"{how} of {name}" for how, shown in _shown(thing) if self(shown))

    def errors(self, error: BaseException | None) -> Iterator[str]:
        """What tells it of an error and those behind it, with the variables of every frame."""
        while error is not None:
            lines = TracebackException.from_exception(error, capture_locals=True).format()
            if self("".join(lines)):
                yield f"the traceback of {type(error).__name__}"
            yield from self.objects(**{type(error).__name__: error})
            error = error.__cause__ or error.__context__


def _shown(thing: Any) -> Iterator[tuple[str, bytes | str]]:
    for how in (repr, str, format, ascii):
        yield how.__name__, how(thing)
    if not isinstance(thing, SecretHeaders):  # it has to be somewhere
        with suppress(TypeError):
            yield "vars", repr(vars(thing))
    with suppress(Exception):
        yield "pickle", pickle.dumps(thing)
    with suppress(Exception):
        yield "a copy's pickle", pickle.dumps(copy.copy(thing))


def _contents(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    yield content
    if content.startswith(b"SQLite format 3"):
        yield from _cells(path)
    if path.suffix == ".parquet":
        yield repr(pq.read_table(path).to_pylist()).encode()


def _cells(path: Path) -> Iterator[bytes]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                yield repr(row).encode()
                yield from (_unpacked(cell) for cell in row if isinstance(cell, bytes))


def _unpacked(cell: bytes) -> bytes:
    try:
        return zlib.decompress(cell)
    except zlib.error:
        return cell
