"""A run as its checkpoint tells it: while it goes on, after it has died, before it begins."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from batchrun.errors import StoreError
from batchrun.plurals import counted
from batchrun.runs.directory import RunDir
from batchrun.runs.expiry import expiry_lines, expiry_of
from batchrun.runs.steering import paused_line
from batchrun.store import glance
from batchrun.store.charges import charged_usd
from batchrun.store.control import Control, Pause
from batchrun.store.damage import explained
from batchrun.store.lock import held_since, running
from batchrun.store.reader import Reader
from batchrun.store.tally import stage_tallies
from batchrun.views.estimate import Left, left
from batchrun.views.history import Mark
from batchrun.views.troubles import LONGEST, Trouble
from batchrun.views.view import Standing, State, Tokens, View, rows_may_follow, standing_of, together

_STEPS = 240
_MINUTE = 60.0
_MOST = 1e15


@dataclass(frozen=True, slots=True)
class Limits:
    """POSTs a minute and dollars that a run keeps to, None for no limit."""

    rpm: float | None = None
    max_cost: float | None = None

    @classmethod
    def of(cls, reader: Reader) -> Limits:
        """Those with which the latest process began."""
        said = json.loads(reader.meta("limits") or "{}")
        return cls(_figure(said.get("rpm")), _figure(said.get("max_cost")))

    def steered(self, settings: Mapping[str, Any]) -> Limits:
        """The same with what was set meanwhile, by the names in the job file."""
        rpm, max_cost = (settings.get(f"limits.{each}", getattr(self, each)) for each in ("rpm", "max_cost"))
        return Limits(_figure(rpm), _figure(max_cost))


def _figure(said: object) -> float | None:
    """A limit that can be drawn; None for what is none, which a file may hold that was written into."""
    return said if isinstance(said, int | float) and abs(said) < _MOST else None


def look(directory: RunDir, now: float) -> View:
    """The run at this Unix time. Nothing is written.

    Raises StoreError for a checkpoint that cannot be read, unless a process holds it, which may be making it.
    """
    holder = running(directory.path)
    begun = held_since(directory.path) if holder else None
    if not directory.checkpoint.is_file() and not directory.ledger.is_file():
        return _unread(directory, State.NEW, f"nothing has been run in {directory.path} yet")
    try:
        control = Control(directory.path)
        settings = control.settings(holder, begun) if holder is not None and begun is not None else {}
        leaving = holder is not None and begun is not None and control.leaves(holder, begun)
        with explained(directory.checkpoint), Reader(directory.checkpoint) as reader, reader.snapshot():
            limits = Limits.of(reader).steered(settings)
            view = _seen(directory, reader, now, limits, holder, begun, control.pause())
        return replace(view, state=State.LEAVING, left=None) if leaving else view
    except StoreError as error:
        if running(directory.path) is None:
            raise
        return _unread(directory, State.RUNNING, str(error))  # it may be about to make its tables


def _unread(directory: RunDir, state: State, why: str) -> View:
    return View(directory.path.name, state, Standing(), notices=(why,))


def standings(reader: Reader) -> dict[str, Standing]:
    """Where the rows of each stage stand; those of a job without stages are of the stage ""."""
    return {str(name): standing_of(counts) for name, counts in stage_tallies(reader).items()}


def _seen(
    directory: RunDir,
    reader: Reader,
    now: float,
    limits: Limits,
    holder: str | None,
    begun: float | None,
    pause: Pause | None,
) -> View:
    stages = standings(reader)
    standing, running = together(stages), begun is not None and now > begun
    state = _state(holder, pause, over=directory.is_over(standing.rows, standing.done))
    since = max(begun or 0.0, now - _MINUTE)
    span = now - since
    read, written, thought = glance.tokens_in_all(reader)
    return View(
        reader.meta("job") or "",
        state,
        standing,
        now - begun if begun is not None else None,
        rows_may_follow(stages),
        {name: each for name, each in stages.items() if name},
        sum(glance.ended_since(reader, since, now, 1)) / span if running else None,
        glance.posts_since(reader, since) * _MINUTE / span if running else None,
        limits.rpm,
        Tokens(read, written, thought),
        glance.tokens_since(reader, since) * _MINUTE / span if running else None,
        charged_usd(reader),
        limits.max_cost,
        _left(reader, standing, begun, now) if begun is not None and now > begun and pause is None else None,
        tuple(Trouble(each.kind, each.count, each.key, each.message) for each in glance.examples(reader, LONGEST)),
        tuple(_notices(reader, holder, state, since, pause)),
        tuple(expiry_lines(expiry_of(reader, now))),
    )


def _state(holder: str | None, pause: Pause | None, *, over: bool) -> State:
    if holder is not None:
        return State.RUNNING if pause is None else State.PAUSED
    if over:
        return State.ENDED
    return State.IDLE if pause is None else State.RESTING


def _left(reader: Reader, standing: Standing, begun: float, now: float) -> Left | None:
    """From the rows that have ended since this process began; an earlier one was another weather."""
    width = (now - begun) / _STEPS
    totals = accumulate(glance.ended_since(reader, begun, now, _STEPS), initial=0)
    marks = [Mark(begun + step * width, ended=total) for step, total in enumerate(totals)]
    return left(standing.waiting, glance.ages(reader, now), glance.latencies(reader), marks)


def _notices(reader: Reader, holder: str | None, state: State, since: float, pause: Pause | None) -> Iterator[str]:
    if pause is not None:
        yield paused_line(pause)
    if holder is None:
        if state is State.IDLE:
            yield "nobody runs it: the command it was begun with goes on with it"
        if state is State.RESTING:
            yield "nobody runs it, and the next run here begins paused: `batchrun resume` first, then run it again"
        return
    yield f"run by {holder}"
    if (refused := glance.refusals_since(reader, since)) is not None:
        yield f"{counted(refused.count, 'POST')} refused lately, to be sent again: {refused.message}"
