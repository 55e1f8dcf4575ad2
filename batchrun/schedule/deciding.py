"""A look at a job's slots: what becomes of those that have begun since the last one, written down at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from batchrun.schedule.record import Record
from batchrun.schedule.verdicts import Verdict, first_seen, verdicts
from batchrun.spec.scheduling import ScheduleSpec

#: A record that is so far ahead was not made by a clock that somebody has put right by hours.
_WRONG = timedelta(days=1)


def decided(spec: ScheduleSpec, name: str, record: Record, now: float, grace: timedelta) -> list[Verdict]:
    """Decide about the slots of the job called `name` that have begun since anybody looked. Raises StoreError.

    With `catch_up: none` a slot is in time for as long as `grace` after it has begun. While the
    record is far ahead of the clock, which was wrong then or is now, no earlier slots than these are looked for; none
    that is on record comes again.
    """
    at = datetime.fromtimestamp(now, UTC)

    def decide(last: datetime | None, running: Sequence[str]) -> tuple[datetime, list[Verdict]]:
        last = last or first_seen(spec, name, at)
        since = at - grace if last - at > _WRONG else last
        found = verdicts(spec, name, since, at, running, grace)
        return (max(last, found[-1].slot.at) if found else last), found

    return record.look(now, decide, replace=spec.overlap == "replace")
