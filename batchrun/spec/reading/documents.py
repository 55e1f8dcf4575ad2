"""Reading a job file or schema file into plain data that remembers its lines, whatever its format."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any

from batchrun.errors import SpecError
from batchrun.spec.reading.credentials import without_keys
from batchrun.spec.reading.positions import KeyPath, Placed, Problems, advised, placed
from batchrun.spec.reading.strict_json import JsonProblem, parse
from batchrun.spec.reading.toml_lines import toml_lines

MAX_BYTES = 1024 * 1024
#: The parser of TOML takes time as the square of a key's parts, all of which are on one line.
_MOST_DOTS = 1000
_TOML_ADVICE = {
    "Cannot overwrite": "this key is given twice; keep one of them",
    "Expected '=' after a key": "TOML has key = value",
    "Invalid value": "text needs quotes; true and false are in lower case",
    "Invalid initial character": "a mapping in braces stands on one line, without a comma at its end",
}
_JSON_ADVICE = {
    "Expecting property name": "keys need double quotes, and no comma stands before a closing brace",
    "Expecting value": "text needs double quotes; true, false and null are in lower case; no comma stands before a "
    "closing bracket",
    "Expecting ',' delimiter": "is a comma or a bracket missing before this? JSON has no comments",
}


@dataclass(slots=True)
class Document:
    """Plain data (JSON types only), and for each key path in it the place where it was written."""

    name: str
    data: Any
    lines: dict[KeyPath, int]
    overridden: dict[KeyPath, str] = field(default_factory=dict)

    def problem(self, path: KeyPath, message: str) -> str:
        """`file:line: key.path: message`, or `--set key=…: message` for a value from the command line."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.overridden:
                return f"{self.overridden[path[:length]]}: {message}"
            if path[:length] in self.lines:
                return located(self.name, self.lines[path[:length]], path, message)
        return located(self.name, None, path, message)


def located(name: str, line: int | None, path: KeyPath, message: str) -> str:
    """One error message, with API keys cut out of it."""
    parts = [name if line is None else f"{name}:{line}", dotted(path), message]
    return without_keys(": ".join(part for part in parts if part))


def dotted(path: KeyPath) -> str:
    """A key path as people write it: `request.input[0].text`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def read_document(path: Path) -> Document:
    """The content of a YAML, TOML or JSON file of at most 1 MiB. Raises SpecError."""
    read = _FORMATS.get(path.suffix.lower())
    if path.is_dir():
        raise SpecError(f"{path}: a directory; name the job's file, and the directory of a run with `--run-dir`")
    if read is None:
        expected = f"a file in one of the formats {', '.join(_FORMATS)} is expected; rename it"
        raise SpecError(f"{path}: {expected if path.exists() else 'cannot be read: No such file or directory'}")
    text = read_text(path)
    try:
        content = read(text)
    except Problems as problems:
        raise SpecError(joined(located(str(path), *found) for found in problems.found)) from None
    return Document(str(path), content.data, content.lines)


def joined(messages: Iterable[str]) -> str:
    """Messages as one text, a line each, at most twenty."""
    every = list(messages)
    more = [f"… and {len(every) - 20} more"] if len(every) > 20 else []
    return "\n".join([*every[:20], *more])


def read_text(path: Path) -> str:
    """A regular file of at most 1 MiB as UTF-8. Raises SpecError."""
    try:
        raw = _regular_bytes(path)
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > MAX_BYTES:
        raise SpecError(f"{path}: larger than {MAX_BYTES:,} bytes, too large for a job or schema file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SpecError(f"{path}:{line}: byte {error.start} is not UTF-8; save the file as UTF-8") from None


def _regular_bytes(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a regular file")
        return file.read(MAX_BYTES + 1)


def _toml(text: str) -> Placed:
    dotted_line = next((at for at, line in enumerate(text.split("\n"), 1) if line.count(".") > _MOST_DOTS), None)
    if dotted_line is not None:
        said = f"more than {_MOST_DOTS:,} dots in one line; break its text or list into several lines"
        raise Problems([(dotted_line, (), said)])
    try:
        return Placed(_plain(tomllib.loads(text)), toml_lines(text))
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        said = f"not TOML: {error}{advised(_TOML_ADVICE, str(error))}"
        raise Problems([(int(line[1]) if line else None, (), said)]) from None
    except (ValueError, RecursionError) as error:
        raise Problems([(None, (), f"not usable TOML: {error}")]) from None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    return value.isoformat() if isinstance(value, date | time) else value


def _json(text: str) -> Placed:
    try:
        data = parse(text)
    except JsonProblem as problem:
        raise Problems([*_yaml_findings(text, problem)]) from None
    try:
        return Placed(data, placed(text).lines)
    except Problems:
        return Placed(data)


def _yaml_findings(text: str, problem: JsonProblem) -> list[tuple[int | None, KeyPath, str]]:
    """A JSON problem with its line; duplicate keys are looked for again by the reader that knows lines."""
    if problem.kind == "duplicate_keys":
        try:
            placed(text)
        except Problems as problems:
            return problems.found
    line = None if problem.position is None else text.count("\n", 0, problem.position) + 1
    return [(line, (), f"{problem}{advised(_JSON_ADVICE, str(problem))}")]


_FORMATS: dict[str, Callable[[str], Placed]] = {
    ".yaml": placed,
    ".yml": placed,
    ".toml": _toml,
    ".json": _json,
}
