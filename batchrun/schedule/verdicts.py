"""What becomes of slots: the states they can be in, and which one a slot that has begun gets. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from batchrun.schedule.slots import PROMPT, Slot, due, latest, missed
from batchrun.spec.scheduling import ScheduleSpec


class State(StrEnum):
    """What has become of a slot.

    QUEUED: its time has come, and it waits for those before it. BEGUN: it has a run, which may have more to do.
    BLOCKED: its run cannot go on for what only a user can mend (its input, the job file); it is tried again until the
    next slot begins. REPLACED: a later slot has taken its place; what it has in flight is still collected.

    Over are: DONE (every row has its outcome), HELD (what is left needs the user's word), GIVEN_UP (blocked when the
    next slot began), SKIPPED (`overlap`), PASSED_OVER (`catch_up`). A REPLACED slot is over once all is collected.
    """

    QUEUED = "queued"
    BEGUN = "begun"
    BLOCKED = "blocked"
    REPLACED = "replaced"
    DONE = "done"
    HELD = "held"
    GIVEN_UP = "given_up"
    SKIPPED = "skipped"
    PASSED_OVER = "passed_over"


#: States of slots of which something is left to be done, if they are not over.
OPEN = (State.QUEUED, State.BEGUN, State.BLOCKED)
#: States that keep a later slot from beginning, or that it replaces.
RUNNING = (State.QUEUED, State.BEGUN)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a slot that has begun, and why."""

    slot: Slot
    state: State
    why: str = ""


def first_seen(spec: ScheduleSpec, name: str, now: datetime) -> datetime:
    """The moment from which on the slots of a job count that nobody has looked at before.

    That is now: no slot of before is run for a job that is new. The one that has just begun counts, as it is most
    likely what woke the caller.
    """
    newest = latest(spec, name, now)
    return newest.at - timedelta(minutes=1) if newest is not None and now - newest.begins < PROMPT else now


def verdicts(
    spec: ScheduleSpec, name: str, last: datetime, now: datetime, running: Sequence[str], grace: timedelta = PROMPT
) -> list[Verdict]:
    """What becomes of each slot that has begun since `last`, oldest first.

    `running` are the names of the slots before them that still run. With `overlap: replace` the caller is to put these
    out of the way where a verdict is QUEUED. `grace` as in `due`.
    """
    taken = {slot.name for slot in due(spec, name, last, now, grace)}
    return [
        _of_due(spec, slot, running)
        if slot.name in taken
        else Verdict(slot, State.PASSED_OVER, f"missed, and `catch_up` is {spec.catch_up}")
        for slot in missed(spec, name, last, now)
    ]


def _of_due(spec: ScheduleSpec, slot: Slot, running: Sequence[str]) -> Verdict:
    if running and spec.overlap == "skip":
        return Verdict(slot, State.SKIPPED, f"{running[-1]} still runs, and `overlap` is skip")
    return Verdict(slot, State.QUEUED)
