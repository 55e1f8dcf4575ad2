"""Saying something to a run from another process, and waiting a little for what comes of it."""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from batchrun.errors import RunError
from batchrun.runs.directory import RunDir
from batchrun.store.control import Answer, Control, Verb
from batchrun.store.lock import running

_LOOK_SECONDS = 0.05
#: Wishes that are of the run, whichever process goes on with it.
_LASTING = (Verb.PAUSE, Verb.RESUME)
_INSTEAD = {
    Verb.SET: "Give the next run `--set`, such as `batchrun run JOB --set limits.rpm=300`.",
    Verb.DRAIN: "There is nothing to drain.",
    Verb.DETACH: "There is nothing to detach; `batchrun tick` submits and waits for nothing.",
}
_UNHEARD = {
    Verb.PAUSE: "nobody runs this now; the next run here begins paused",
    Verb.RESUME: "nobody runs this now; the next run here is not paused",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What came of a wish; `heard` is False if no process has answered it."""

    heard: bool
    done: bool
    text: str


def say(directory: RunDir, verb: Verb, settings: Mapping[str, Any], wall: Callable[[], float], patience: float) -> Said:
    """Say it to the run in a directory, and wait for an answer, `patience` seconds at most.

    Raises RunError if nobody runs it and the wish is of a process's life, StoreError if it cannot be noted.
    """
    control, holder = Control(directory.path), running(directory.path)
    if holder is None and verb not in _LASTING:
        raise RunError(f"{directory.path}: nobody runs this now. {_INSTEAD[verb]}")
    said = _unheard(directory, control, verb)
    number = control.say(verb, settings, wall(), _by(), None if verb in _LASTING else holder)
    if holder is None:
        return said
    until = wall() + patience
    while wall() < until:
        if (answer := control.answered(number)) is not None:
            return _said(answer)
        if running(directory.path) != holder:
            return _too_late(control, number, said, wall())
        time.sleep(_LOOK_SECONDS)  # a command that waits for another process, at most `patience`
    late = "it will when it looks, unless it is ending by now"
    return Said(False, False, f"{holder} did not answer in {patience:g} s: {late}")


def _unheard(directory: RunDir, control: Control, verb: Verb) -> Said:
    """What comes of a wish if nobody runs. A pause names where it holds: a rehearsal's is not that of the paid run."""
    if verb is Verb.RESUME and control.pause() is None:
        return Said(False, True, "it was not paused, and nobody runs it now")
    if verb in _LASTING:
        return Said(False, True, f"{directory.path}: {_UNHEARD[verb]}")
    return Said(False, False, "the run ended before it looked: nothing came of this")


def _too_late(control: Control, number: int, said: Said, at: float) -> Said:
    """The process ended. What it answered last counts; else the wish is answered here, so that nobody else does it."""
    if said.done or control.answer(number, Answer(None, said.text), at):
        return said
    answer = control.answered(number)
    assert answer is not None
    return _said(answer)


def _said(answer: Answer) -> Said:
    return Said(answer.done is not None, bool(answer.done), answer.text)


def _by() -> str:
    """Who says it, as far as the system knows."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = "somebody"
    return f"{user} on {socket.gethostname()}"
