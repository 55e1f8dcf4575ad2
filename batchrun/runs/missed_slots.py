"""Slots of a schedule that were not run, told to the targets of the job's alerts: each once, by whoever looks next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchrun.alerts.memory import News
from batchrun.alerts.rules import Alert
from batchrun.alerts.targets import Sender, alert_secrets
from batchrun.engine.events import Observer
from batchrun.plurals import counted
from batchrun.runs.alerting import document, reached
from batchrun.schedule.record import Entry, Record
from batchrun.spec.alerting import AlertsSpec

_NAMED = 3


@dataclass(frozen=True)
class Owner:
    """The job whose slots they are: its name, the directory of its file, that of its slots' runs, and its alerts."""

    name: str
    base: Path
    home: Path
    alerts: AlertsSpec | None


async def tell_missed(owner: Owner, record: Record, wall: Callable[[], float], observe: Observer) -> None:
    """Tell of what nobody was told of. What reached no target is told again by the next look.

    Raises SpecError for a malformed secret, StoreError.
    """
    missed = record.not_run()
    if not missed:
        return
    if owner.alerts is None or not owner.alerts.missed_slot or await _told(owner, owner.alerts, missed, wall, observe):
        record.told((entry.name for entry in missed), wall())


async def _told(
    owner: Owner, alerts: AlertsSpec, missed: Sequence[Entry], wall: Callable[[], float], observe: Observer
) -> bool:
    """Whether a target was reached."""
    now, sender = wall(), Sender(owner.base, alert_secrets())
    news = document(owner.name, owner.home, News(Alert("missed_slot", _message(missed)), now), now)
    heard = await asyncio.gather(*(reached(sender.tell(target, news, now), observe) for target in alerts.to))
    return any(heard)


def _message(missed: Sequence[Entry]) -> str:
    names = ", ".join(entry.name for entry in missed[-_NAMED:])
    more = "…, " if len(missed) > _NAMED else ""
    last = f"{missed[-1].state.replace('_', ' ')}: {missed[-1].why}"
    return f"{counted(len(missed), 'slot')} not run: {more}{names}. The last: {last}"
