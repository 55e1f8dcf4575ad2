"""Tells of slots that were not run, in the daemon's own time: its jobs do not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from batchrun.daemon.jobs import PATIENCE, JobFile
from batchrun.daemon.messages import Message, Tell
from batchrun.engine.events import AlertFailed, Event
from batchrun.errors import BatchrunError
from batchrun.runs.missed_slots import Owner, tell_missed
from batchrun.schedule.record import Record
from batchrun.schedule.verdicts import Verdict
from batchrun.spec.load import base_of


class Alarm:
    """Told each verdict, it looks once what there is to tell of the job. `wall` gives Unix time."""

    def __init__(self, wall: Callable[[], float], tell: Tell) -> None:
        self._wall, self._tell = wall, tell
        self._looking: dict[Path, asyncio.Task[None]] = {}

    def __call__(self, job: JobFile, _verdict: Verdict) -> None:
        if job.path not in self._looking:
            self._looking[job.path] = task = asyncio.create_task(self._look(job))
            task.add_done_callback(lambda _: self._looking.pop(job.path, None))

    async def aclose(self, grace: float) -> None:
        """Wait for what is being told, `grace` seconds at most; the next look tells what reached nobody."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await asyncio.gather(*self._looking.values(), return_exceptions=True)

    async def _look(self, job: JobFile) -> None:
        def observe(event: Event) -> None:
            if isinstance(event, AlertFailed):
                self._tell(Message("trouble", f"an alert was not told: {event.reason}", job.name, bad=True))

        owner = Owner(job.name, base_of(job.path), job.home, job.alerts)
        try:
            with Record(job.home, PATIENCE) as record:
                await tell_missed(owner, record, self._wall, observe)
        except BatchrunError as error:
            self._tell(Message("trouble", str(error), job.name, bad=True))
