"""What this process was started with and its children do not inherit: the API key, where it is, and secrets that sign
messages.

A key is a variable's value, or the content of the file that the variable with `_FILE` behind its name names: what cron,
systemd, Compose and Kubernetes start gets no secret in its environment then. `take` is for the process that is
`batchrun`, and for nobody who merely imports it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

KEY_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
#: The secrets of the service's webhooks, and the one that alerts are signed with.
WEBHOOK_SECRET, ALERT_SECRET = "BATCHRUN_WEBHOOK_SECRET", "BATCHRUN_ALERT_SECRET"
#: What children do not inherit.
HIDDEN = (*KEY_VARIABLES, *(f"{name}_FILE" for name in KEY_VARIABLES), WEBHOOK_SECRET, ALERT_SECRET)
#: A longer file is something else.
_MOST = 4096

_taken: dict[str, str] = {}
_read: dict[str, str] = {}


def take() -> None:
    """Move them out of the environment, so that no child process has them, nor what the user's functions print."""
    for name in HIDDEN:
        if (value := os.environ.pop(name, None)) is not None:
            _taken[name] = value


def secrets() -> dict[str, str]:
    """All of them by their variables, for a process of ours that this one starts, and that they reach by a pipe."""
    return {name: value for name in HIDDEN if (value := value_of(name))}


def give(given: Mapping[str, str]) -> None:
    """The secrets of the process that has started this one."""
    _taken.update((name, given[name]) for name in HIDDEN if name in given)


def keys() -> Iterator[tuple[str, str]]:
    """Names and values of the keys that are set, the one to use first."""
    for name in KEY_VARIABLES:
        if value := value_of(name):
            yield name, value
        elif (path := value_of(_file(name))) and (value := _content(path)[0]):
            yield _file(name), value


def unread() -> Iterator[str]:
    """For each file that should hold a key and does not: which, and why, in words."""
    for name in KEY_VARIABLES:
        if not value_of(name) and (path := value_of(_file(name))) and (problem := _content(path)[1]):
            yield f"{_file(name)} names {path}: {problem}"


def _file(name: str) -> str:
    return f"{name}_FILE"


def value_of(name: str) -> str:
    """What a variable was set to, also where it was taken; empty where it was not set."""
    return os.environ.get(name, _taken.get(name, "")).strip()


def _content(path: str) -> tuple[str, str]:
    """The key in a file, and what is wrong with it; one of them is empty. A key is read once."""
    if path not in _read:
        try:
            with open(path, "rb") as file:
                content = file.read(_MOST + 1)
        except (OSError, ValueError) as error:
            return "", getattr(error, "strerror", None) or "no such path"
        key = content.decode(errors="replace").strip()
        if not key or len(content) > _MOST:
            return "", "it is empty" if not key else "it is too large for a key"
        _read[path] = key
    return _read[path], ""
