"""What this process was started with and its children do not inherit: the API key, and secrets that sign messages.

`take` is for the process that is `batchrun`, and for nobody who merely imports it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

KEY_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
#: The secrets of the service's webhooks, and the one that alerts are signed with.
WEBHOOK_SECRET, ALERT_SECRET = "BATCHRUN_WEBHOOK_SECRET", "BATCHRUN_ALERT_SECRET"

_taken: dict[str, str] = {}


def take() -> None:
    """Move them out of the environment, so that no child process has them, nor what the user's functions print."""
    for name in (*KEY_VARIABLES, WEBHOOK_SECRET, ALERT_SECRET):
        if (value := os.environ.pop(name, None)) is not None:
            _taken[name] = value


def keys() -> Iterator[tuple[str, str]]:
    """Names and values of the keys that are set, the one to use first."""
    for name in KEY_VARIABLES:
        if value := value_of(name):
            yield name, value


def value_of(name: str) -> str:
    """What a variable was set to, also where it was taken; empty where it was not set."""
    return os.environ.get(name, _taken.get(name, "")).strip()
