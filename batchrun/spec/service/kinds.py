"""The models that are known by name, by what they write. Pure data, and how a name that is not in it is matched."""

from __future__ import annotations

import re
from collections.abc import Mapping

_WRITERS = {
    "text": """
        gemini-2.5-flash gemini-2.5-flash-lite gemini-2.5-pro gemini-3-flash-preview gemini-3.1-pro-preview
        gemini-3.1-pro-preview-customtools gemini-3.1-flash-lite gemini-3.5-flash gemini-3.5-flash-lite
        gemini-3.6-flash gemini-3.7-flash gemini-3.8-flash gemini-4-argon gemini-4-carbon gemini-4-hydrogen
        gemma-4-26b-a4b-it gemma-4-31b-it gemini-flash-latest gemini-flash-lite-latest gemini-pro-latest
        gemini-robotics-er-1.6-preview gemini-robotics-er-2-preview gemini-3.5-transcribe
    """,
    "image": """
        gemini-2.5-flash-image gemini-3-pro-image nano-banana-pro-preview gemini-3.1-flash-image
        gemini-3.1-flash-lite-image gemini-nano-banana-2.1
    """,
    "audio": """
        gemini-3.1-flash-tts-preview gemini-3.8-flash-tts gemini-3.8-flash-lite-tts lyria-3-clip-preview
        lyria-3-pro-preview lyria-3.5
    """,
    "video": "gemini-omni-flash-preview gemini-omni-1.1-flash gemini-omni-1.2-flash",
}
#: What each known model writes when it is asked for nothing else.
WRITES: Mapping[str, str] = {name: kind for kind, names in _WRITERS.items() for name in names.split()}
MODELS = frozenset(WRITES)
_NUMBERS = re.compile(r"\d+(?:[.-]\d+)*")


def unversioned(name: str) -> str:
    """The name with a mark in the place of versions and dates."""
    return _NUMBERS.sub("#", name)


_BY_FAMILY = {unversioned(name): kind for name, kind in WRITES.items()}


def kind_of(model: str) -> str | None:
    """What a model writes, also one of another version than the known ones; None where nothing is known of it."""
    return _BY_FAMILY.get(unversioned(model.removeprefix("models/")))
