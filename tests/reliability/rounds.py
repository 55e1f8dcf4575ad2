"""The laws of a schedule: each slot accounted for once, begun once, at its time, and by the job's policies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from batchrun.schedule.record import Entry
from batchrun.schedule.verdicts import State
from tests.daemon.shifts import Happened
from tests.reliability.timetable import times
from tests.reliability.years import MINUTE, Rota, Year, slot_time, whole_minutes

#: How late a slot may be where nothing is in the way, and in what time it counts as not missed.
_LATE, _PROMPT = 2.0, 2 * MINUTE
_VERDICTS = (State.QUEUED, State.SKIPPED, State.PASSED_OVER)


def broken(year: Year) -> Iterator[str]:
    """What is wrong with a year that has been lived."""
    for rota in year.rotas:
        entries = year.post.record(rota.name)
        log = [each for each in year.work.log if each.job == rota.name]
        laws = (accounted(year, rota, entries), caught_up(rota, entries), prompt(year, rota, entries), turns(rota, log))
        yield from (f"{rota}: {fault}" for law in laws for fault in law)


def accounted(year: Year, rota: Rota, entries: dict[str, Entry]) -> Iterator[str]:
    """Every time of the year is on record, nothing else is, and nothing is left open."""
    until = max(stretch.ended for stretch in year.stretches)
    known = {slot_time(name) for name in entries}
    began = year.stretches[0].began
    just = began - _PROMPT - rota.jitter  # a slot that has just begun when a job is first seen counts
    due = set(times(rota.cron, rota.zone, whole_minutes(just), whole_minutes(until)))
    surely = {at for at in due if began < at.timestamp() < until - rota.jitter - MINUTE}
    yield from (f"{at} is not accounted for" for at in sorted(surely - known))
    yield from (f"{at} is no time of the schedule" for at in sorted(known - due))
    still = [entry for entry in entries.values() if entry.over_at is None]
    yield from (f"left open: {entry}" for entry in still if entry.decided_at < until - year.tail / 2)


def caught_up(rota: Rota, entries: dict[str, Entry]) -> Iterator[str]:
    """Of slots that were looked at together, all but the newest were missed."""
    for _, together in groupby(entries.values(), key=lambda entry: entry.decided_at):
        *missed, newest = together
        passed = newest.state is State.PASSED_OVER
        if rota.catch_up != "all":
            yield from (f"{each} was missed" for each in missed if each.state is not State.PASSED_OVER)
        elif any(each.state is State.PASSED_OVER for each in (*missed, newest)):
            yield f"passed over in spite of `all`, with {newest}"
        late = newest.decided_at - slot_time(newest.name).timestamp()
        if rota.catch_up == "latest" and passed:
            yield f"{newest} is the latest"
        if rota.catch_up == "none" and ((passed and late < _PROMPT) or (not passed and late >= _PROMPT + rota.jitter)):
            yield f"{newest} was decided about after {late:.0f} s"


def prompt(year: Year, rota: Rota, entries: dict[str, Entry]) -> Iterator[str]:
    """While the daemon lives and no clock jumps, slots are decided about at their times."""
    for name, entry in entries.items():
        at = slot_time(name).timestamp()
        early = entry.decided_at < at - 1e-3  # of so many seconds a float keeps no microseconds
        life = next(each for each in year.stretches if each.latest >= at)  # a clock set back comes by again
        inside = not life.jumped and life.began < at < life.ended - rota.jitter - _LATE
        if early or (inside and entry.decided_at > at + rota.jitter + _LATE):
            yield f"{entry} was decided about {entry.decided_at - at:.0f} s after its time"


def turns(rota: Rota, log: list[Happened]) -> Iterator[str]:
    """Slots are begun once, in turn, one at a time; the next ones are skipped, queued, or replace those before."""
    often = Counter((each.what, each.slot) for each in log if each.what != "blocked")
    yield from (f"{slot}: {what} {count} times" for (what, slot), count in often.items() if count > 1)
    queued: list[str] = []
    running: list[str] = []
    for what, together in groupby(log, key=lambda each: each.wall if each.what in _VERDICTS else each):
        if isinstance(what, float):
            yield from _verdicts(rota, list(together), queued, running)
        elif what.what == "begin":
            if running or queued[:1] != [what.slot]:
                yield f"{what} while {running} ran, and {queued[:3]} waited"
            queued[:], running[:] = queued[1:], [what.slot]
        elif what.slot in running:
            running.remove(what.slot)


def _verdicts(rota: Rota, together: list[Happened], queued: list[str], running: list[str]) -> Iterator[str]:
    """Those of one look."""
    before = bool(queued or running)
    for each in together:
        if each.what == State.SKIPPED and not (rota.overlap == "skip" and before):
            yield f"{each} with nothing before it"
        if each.what == State.QUEUED and rota.overlap == "skip" and before:
            yield f"{each} was not skipped: {running} ran"
    new = [each.slot for each in together if each.what == State.QUEUED]
    if new and rota.overlap == "replace":
        running.clear()
        queued[:] = new[-1:]
    else:
        queued += new
