"""Rows from JSON Lines, one line in memory at a time, with a verdict for every line and an exception for none.

Lines end at `\\n` and nowhere else. A byte order mark at the top, `\\r\\n`, empty lines and a missing last newline are
fine; everything else that is not one strict JSON object in UTF-8 is a Problem of that line.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from hashlib import sha256
from typing import BinaryIO

from batchrun.errors import SpecError
from batchrun.inputs.draft import Draft
from batchrun.rows import Problem
from batchrun.spec.reading.strict_json import JsonProblem, parse

_BOM = b"\xef\xbb\xbf"
_SKIPPED = 64 * 1024


def jsonl_rows(file: BinaryIO, name: str, cap: int) -> Iterator[Draft]:
    """A draft of each line. `cap` is the most bytes a line may have. Raises what reading the file raises."""
    number = 0
    while line := file.readline(cap + 2):
        number += 1
        if number == 1 and line.startswith(_BOM):
            line = line[3:]
        if len(line) > cap and len(line.rstrip(b"\r\n")) > cap:
            yield _too_long(file, line, name, number, cap)
        elif not line.isspace():
            yield _draft(line, name, number)


def gzip_rows(file: BinaryIO, name: str, cap: int) -> Iterator[Draft]:
    """As `jsonl_rows`, from gzip. Raises SpecError where the compressed data is cut off or damaged."""
    with gzip.GzipFile(fileobj=file) as unpacked, io.BufferedReader(unpacked, _SKIPPED) as buffered:
        try:
            yield from jsonl_rows(buffered, name, cap)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SpecError(f"{name}: damaged gzip data ({error}); make the file again") from None


def _draft(line: bytes, name: str, number: int) -> Draft:
    try:
        value = parse(line.decode())
    except UnicodeDecodeError as error:
        what = f"byte {error.start + 1} of the line is not UTF-8; save the file as UTF-8"
        return _failed(line, name, number, "bad_utf8", what)
    except JsonProblem as problem:
        where = "" if problem.position is None else f" (column {problem.position + 1})"
        return _failed(line, name, number, problem.kind, f"{problem}{where}")
    if not isinstance(value, dict):
        return _failed(line, name, number, "not_an_object", f"a row is a JSON object, and this is {_type_of(value)}")
    return Draft(name, number, value)


def _type_of(value: object) -> str:
    names: dict[type, str] = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _failed(line: bytes, name: str, number: int, kind: str, what: str) -> Draft:
    digest = sha256(line.rstrip(b"\r\n")).hexdigest()
    return Draft(name, number, None, Problem(kind, f"{name}:{number}: {what}"), digest)


def _too_long(file: BinaryIO, start: bytes, name: str, number: int, cap: int) -> Draft:
    """Reads on to the end of the line without keeping it."""
    digest, piece = sha256(start), start
    while not piece.endswith(b"\n") and (piece := file.readline(_SKIPPED)):
        digest.update(piece)
    what = f"the line is longer than {cap:,} bytes; shorten it or raise input.max_line_bytes"
    return Draft(name, number, None, Problem("too_long", f"{name}:{number}: {what}"), digest.hexdigest())
