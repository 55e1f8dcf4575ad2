"""Where files of agents' environments go on this machine. Their names come from a model: they are hostile. Pure."""

from __future__ import annotations

import hashlib
import re
import unicodedata

#: Shorter than file systems allow, so that a draft's name beside it fits as well.
_MOST_NAME_BYTES = 200
_MOST_PATH_BYTES = 1000
_PLAIN_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")
#: How the names of other keys end; a plain one must not look like them.
_MARKED = re.compile(r".*-[0-9a-f]{12}")


def directory_name(key: str) -> str:
    """A row's key as the name of a directory, another one for each key, also where case does not count."""
    if _PLAIN_KEY.fullmatch(key) and not _MARKED.fullmatch(key):
        return key
    slug = re.sub(r"[^a-z0-9._-]+", "-", key.lower()).strip("-._")[:60] or "row"
    return f"{slug}-{hashlib.sha256(key.encode('utf-8', 'backslashreplace')).hexdigest()[:12]}"


def why_unsafe(path: str) -> str | None:
    """Why a file of this name is not written, None if it may be. A safe name stays below the directory it is put in."""
    if path.startswith("/"):
        return "the path is absolute"
    parts = path.split("/")
    if ".." in parts or "." in parts:
        return "the path leads elsewhere"
    if not all(parts) or any(part != part.strip() for part in parts):
        return "a part of the path is empty, or begins or ends with a space"
    if "\\" in path or any(unicodedata.category(character)[0] == "C" for character in path):
        return "the path has a backslash, or a control or invisible character"
    if len(path.encode()) > _MOST_PATH_BYTES or any(len(part.encode()) > _MOST_NAME_BYTES for part in parts):
        return "the path is too long"
    return None
