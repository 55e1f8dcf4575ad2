"""What this process was started with and its children do not inherit: the API key.

`take` is for the process that is `batchrun`, and for nobody who merely imports it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

KEY_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")

_taken: dict[str, str] = {}


def take() -> None:
    """Move the keys out of the environment, so that no child process has them, nor what the user's functions print."""
    for name in KEY_VARIABLES:
        if (value := os.environ.pop(name, None)) is not None:
            _taken[name] = value


def give(keys: Mapping[str, str]) -> None:
    """The keys of the process that has started this one, which came by a pipe."""
    _taken.update((name, value) for name, value in keys.items() if name in KEY_VARIABLES)


def keys() -> Iterator[tuple[str, str]]:
    """Names and values of the keys that are set, the one to use first."""
    for name in KEY_VARIABLES:
        if value := os.environ.get(name, _taken.get(name, "")).strip():
            yield name, value
