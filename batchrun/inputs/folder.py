"""The files that a glob finds, in the order of their names, and what each of them is as a row of the input.

Hidden files and directories are left out, and so is what is no regular file. What may not be read is listed with why:
a symbolic link that leads out of the folder, a name that cannot be written into a request.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from batchrun.errors import SpecError
from batchrun.inputs.draft import Draft
from batchrun.rows import InputFile, Problem

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file that a glob found, its `name` relative to the job. With a `problem` it is not to be read."""

    name: str
    bytes: int
    ctime_ns: int
    problem: str = ""

    @property
    def shown(self) -> str:
        """The name as text that can be told from every other, whatever bytes the file system holds."""
        text = os.fsencode(self.name).decode(errors="backslashreplace")
        return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def list_files(pattern: str, base: Path, key: str) -> list[Listed]:
    """What a glob finds now, sorted. `key` is where the job file has it.

    Raises SpecError for what is no glob of files, and where its folder is not there.
    """
    fixed, rest = _split(pattern)
    folder = base / fixed
    if not folder.is_dir():
        raise SpecError(f"{key}: there is no folder {str(folder)!r}")
    if (folder / rest).is_dir():
        raise SpecError(f"{key}: {pattern!r} is a folder; write a glob of files, such as {pattern.rstrip('/')}/*.pdf")
    try:
        found = [_listed(path, path.relative_to(folder), fixed, base) for path in _found(folder, rest)]
    except (ValueError, NotImplementedError) as error:  # what pathlib raises for a pattern that it cannot read
        raise SpecError(f"{key}: {pattern!r} is no glob: {error}") from None
    inside = _Inside(folder)
    listed = ((each, inside.problem(base / each.name) or each.problem) for each in found if each is not None)
    return sorted((Listed(e.name, e.bytes, e.ctime_ns, problem) for e, problem in listed), key=lambda e: e.name)


def content_of(path: Path) -> str:
    """Hex SHA-256 of a regular file's content. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("not a regular file")
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_rows(files: list[Listed], base: Path) -> Iterator[Draft]:
    """A draft of each file, read once to know its content, of which nothing is kept."""
    for file in files:
        if file.problem:
            yield _unusable(file, "bad_file", file.problem)
            continue
        try:
            content = content_of(base / file.name)
        except OSError as error:
            yield _unusable(file, "unreadable_file", f"cannot be read: {error.strerror or error}")
            continue
        yield file_row(InputFile(file.name, file.bytes, file.ctime_ns, content))


def file_row(file: InputFile) -> Draft:
    """A file as a row. The hash of its content is a column, so a file that was changed is a row that was edited."""
    path = PurePosixPath(file.name)
    about = {"file": file.name, "name": path.name, "stem": path.stem, "suffix": path.suffix}
    return Draft(file.name, 0, {**about, "bytes": file.bytes, "sha256": file.sha256}, mark="")


def _unusable(file: Listed, kind: str, said: str) -> Draft:
    sha = hashlib.sha256(os.fsencode(file.name)).hexdigest()
    return Draft(file.shown, 0, None, Problem(kind, f"{file.shown}: {said}"), sha, mark="")


def _split(pattern: str) -> tuple[str, str]:
    """The folder before the first wildcard, and the rest."""
    parts = pattern.split("/")
    first = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return "/".join(parts[:first]) or ("/" if pattern.startswith("/") else ""), "/".join(parts[first:])


def _found(folder: Path, rest: str) -> Iterator[Path]:
    """Without `**` going through symbolic links, which may go round in circles."""
    if not glob.has_magic(rest):
        return iter([folder / rest] if (folder / rest).exists() else [])
    return folder.glob(rest)


def _listed(path: Path, below: Path, fixed: str, base: Path) -> Listed | None:
    if any(part.startswith(".") for part in below.parts):
        return None
    try:
        status = path.stat()
    except OSError as error:
        return (
            Listed(_name(below, fixed, base), 0, 0, f"cannot be read: {error.strerror}") if path.is_symlink() else None
        )
    if not stat.S_ISREG(status.st_mode):
        return None
    return Listed(_name(below, fixed, base), status.st_size, status.st_ctime_ns, _wrong_with_name(str(below)))


def _name(below: Path, fixed: str, base: Path) -> str:
    """Relative to the job also where the glob is not: media have to be."""
    name = f"{fixed.rstrip('/')}/{below.as_posix()}" if fixed else below.as_posix()
    return os.path.relpath(name, base) if os.path.isabs(name) else os.path.normpath(name)


def _wrong_with_name(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8; rename it"
    return "its name holds a control character; rename it" if _UNPRINTABLE.search(name) else ""


class _Inside:
    """Tells which files are really inside a folder, wherever symbolic links lead."""

    def __init__(self, folder: Path) -> None:
        self._top = os.path.realpath(folder).rstrip(os.sep) + os.sep
        self._known: dict[str, bool] = {}

    def problem(self, path: Path) -> str:
        parent = os.path.dirname(path)
        if parent not in self._known:
            self._known[parent] = (os.path.realpath(parent) + os.sep).startswith(self._top)
        inside = self._known[parent] and (not path.is_symlink() or os.path.realpath(path).startswith(self._top))
        return "" if inside else "a symbolic link that leads out of the folder; it is not followed"
