"""Finding API keys where none belong. Pure; a key that is found is never repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from batchrun.spec.reading.positions import KeyPath

_GOOGLE_KEY = re.compile(r"AIza[0-9A-Za-z_-]{35}")
_KEY_NAMES = frozenset({"apikey", "xgoogapikey", "geminiapikey", "googleapikey"})


def key_paths(data: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Where the data holds an API key, by its name (`api_key: …`) or by its form."""
    if isinstance(data, dict):
        for name, value in data.items():
            if _names_a_key((*path, name), value):
                yield (*path, name)
            else:
                yield from key_paths(value, (*path, name))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from key_paths(value, (*path, index))
    elif isinstance(data, str) and _GOOGLE_KEY.search(data):
        yield path


def without_keys(text: str) -> str:
    """The text with everything that looks like a Google API key cut out."""
    return _GOOGLE_KEY.sub("AIza…", text)


def _names_a_key(path: KeyPath, value: Any) -> bool:
    """A mapping below such a name is a schema's property, not a key."""
    name = str(path[-1])
    if _GOOGLE_KEY.search(name):
        return True
    plain = re.sub(r"[^a-z]", "", name.lower())
    return not isinstance(value, dict) and (plain in _KEY_NAMES or path == ("request", "key"))
