"""From a path or a pattern in a row to real files inside the media root. What a row says is hostile until proved.

Nothing is opened here, and no directory outside the root is looked into.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import translate
from glob import has_magic
from pathlib import Path
from re import Pattern
from re import compile as compiled

from batchrun.errors import RowError

MOST_FILES = 1_000
"""Most files that one pattern may stand for."""

_FORBIDDEN = "media_forbidden"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is: `shown` as messages call it, `real` without any symbolic link."""

    shown: str
    real: str


def find(path: str, base: Path, root: Path) -> list[Place]:
    """The file that `path` names, or the files that it finds as a pattern, by name.

    Paths are relative to `base` and must stay inside `root`; symbolic links are judged by where they lead. Raises
    RowError with the kind `media_forbidden`, `media_missing`, `media_unreadable` or `media_too_many`.
    """
    _require_relative(path)
    paths = [path] if not has_magic(path) or _exists(base / path) else _matches(path, base, root)
    return [Place(_printable(found), _inside(found, base, root)) for found in paths]


def require_regular(mode: int, shown: str) -> None:
    """Raises RowError unless `mode` is that of a regular file."""
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "no regular file"
        raise RowError("media_unreadable", f"{shown!r} is {kind}")


def _printable(path: str) -> str:
    """The path as text, whatever bytes the file system holds."""
    return path.encode(errors="surrogatepass").decode(errors="replace")


def _require_relative(path: str) -> None:
    if not path or "\0" in path:
        said = f"{path!r} is no path" if path else "the path is empty"
        raise RowError(_FORBIDDEN if path else "media_missing", said)
    if os.path.isabs(path):
        raise RowError(_FORBIDDEN, f"{path!r} is absolute; paths are relative to the job file")


def _exists(path: Path) -> bool:
    try:
        return os.path.lexists(path)
    except (OSError, ValueError):
        return False


def _inside(path: str, base: Path, root: Path) -> str:
    """The real path, proved to lie inside the root."""
    try:
        real, top = os.path.realpath(base / path), os.path.realpath(root)
    except (OSError, ValueError) as error:
        raise RowError("media_missing", f"{path!r} is no usable path: {error}") from None
    if not os.path.isdir(top):
        raise RowError("media_missing", f"the media directory (request.media_root) {str(root)!r} is no directory")
    if real != top and not real.startswith(top.rstrip(os.sep) + os.sep):
        raise RowError(_FORBIDDEN, f"{path!r} leads out of the media directory (request.media_root)")
    return real


def _matches(pattern: str, base: Path, root: Path) -> list[str]:
    """What a pattern finds, sorted. A `*` stays inside one directory; names that begin with a dot are left out."""
    fixed, *names = _split(pattern)
    if any(name in ("", ".", "..") for name in names):
        raise RowError(_FORBIDDEN, f"{pattern!r}: a pattern goes downwards only, without `.` or `..` in it")
    found = list(_below(fixed, [_pattern(name) for name in names], base, root, pattern))
    if not found:
        raise RowError("media_missing", f"{pattern!r} finds no file")
    return sorted(found)


def _split(pattern: str) -> list[str]:
    """The directory before the first name with a wildcard, then every name from there on."""
    names = pattern.split("/")
    first = next(number for number, name in enumerate(names) if has_magic(name))
    return ["/".join(names[:first]), *names[first:]]


def _pattern(name: str) -> Pattern[str]:
    return compiled(translate(name) if name.startswith(".") else rf"(?!\.){translate(name)}")


def _below(directory: str, names: list[Pattern[str]], base: Path, root: Path, pattern: str) -> Iterator[str]:
    """Level by level, every directory proved to lie inside the root before it is listed."""
    level = [directory]
    for depth, name in enumerate(names):
        last = depth == len(names) - 1
        level = [found for each in level for found in _listed(each, name, base, root, directories=not last)]
        if len(level) > MOST_FILES:
            raise RowError("media_too_many", f"{pattern!r} finds more than {MOST_FILES:,} files; make it narrower")
    yield from level


def _listed(directory: str, name: Pattern[str], base: Path, root: Path, *, directories: bool) -> Iterator[str]:
    try:
        with os.scandir(_inside(directory, base, root)) as entries:
            for entry in entries:
                if name.match(entry.name) and (not directories or entry.is_dir()):
                    yield f"{directory}/{entry.name}" if directory else entry.name
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise RowError("media_unreadable", f"{directory!r} cannot be listed: {error.strerror}") from None
