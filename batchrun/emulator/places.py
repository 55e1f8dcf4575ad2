"""Places that a text names: capitalised words after "in", "at" or the like, and the list that they begin."""

from __future__ import annotations

import re

_NAME = r"[^\W\da-z_][\w'’-]+(?:[ ](?:(?:de|la|of|am|upon)[ ])?[^\W\da-z_][\w'’-]+){0,3}"
_AND = r"(?:\s*,\s*(?:and\s+)?|\s+and\s+)"
_LIST = re.compile(rf"\b(?:in|at|for|of|from|to|near|between|around)\s+(?P<names>{_NAME}(?:{_AND}{_NAME})*)")
_JOINT = re.compile(_AND)
#: A list is looked for no further than this; text longer than that names no places worth a call.
_TEXT_LIMIT = 4_000
_MOST = 10


def places_in(text: str) -> list[str]:
    """The places in the order in which they are named, each once."""
    lists = (match["names"] for match in _LIST.finditer(text[:_TEXT_LIMIT]))
    names = (name for listed in lists for name in _JOINT.split(listed))
    return list(dict.fromkeys(names))[:_MOST]
