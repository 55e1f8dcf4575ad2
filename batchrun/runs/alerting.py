"""The alerts of a run: looked at each minute while it goes on and once at its end. They never stop it."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchrun.alerts.memory import Memory, News, memory_of
from batchrun.alerts.rules import Standing, alerts_of
from batchrun.alerts.targets import Sender, Untold, address_of, alert_secrets, ping
from batchrun.engine.events import AlertFailed, Observer, Telling
from batchrun.errors import BatchrunError, SpecError, StoreError
from batchrun.outputs.files import write_whole
from batchrun.plurals import stamp
from batchrun.runs.directory import RunDir
from batchrun.spec.alerting import TargetSpec
from batchrun.spec.load import Job
from batchrun.store import glance
from batchrun.store.reader import Reader
from batchrun.store.tally import outcomes_of

_LOOK_SECONDS = 60.0
#: The part of the latest answers that is nearly all.
_NEARLY_ALL = 0.99


class Alerting:
    """What a run has to say to the targets of its job. `wall` gives Unix time. Raises SpecError for a target that
    cannot be told, before anything is sent.

    One that is `patient` is silent from its beginning on; of those that are not, one sees nothing between two.
    """

    def __init__(
        self, job: Job, directory: RunDir, wall: Callable[[], float], observe: Observer, *, patient: bool = True
    ) -> None:
        assert job.spec.alerts is not None
        self._job, self._directory, self._wall, self._observe = job, directory, wall, observe
        self._targets = {_name_of(target): target for target in job.spec.alerts.to}
        self._sender = Sender(job.base, alert_secrets())
        for target in self._targets.values():
            if url := target.webhook or target.ping:
                address_of(url)
        self._path = directory.path / "alerts.json"
        self._memory: Memory | None = None
        self._patient, self._began = patient, wall() if patient else 0.0

    async def go_on(self) -> None:
        """Tell dead man's switches that a run begins; then look each minute, until cancelled.

        If it is not patient there is nothing to see before the end.
        """
        await self._ping("/start")
        while self._patient:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.look()

    async def ended(self, exit_code: int) -> None:
        """Look once more, and tell dead man's switches how the run ended. What still is an alert is no success."""
        news = await self._news()
        if news or self._pinged:
            self._observe(Telling())
        await self._tell_all(news)
        alarmed = any(self._remembered().told.values())
        said = f"batchrun {self._job.spec.name}: exit code {exit_code}"
        await self._ping("/fail" if exit_code or alarmed else "", said + (", and an alert stands" if alarmed else ""))

    async def look(self) -> None:
        """Tell each target what it does not know yet."""
        await self._tell_all(await self._news())

    async def _news(self) -> list[tuple[str, News]]:
        """What each target does not know yet, with the target's name."""
        memory, now = self._remembered(), self._wall()
        try:
            found = await asyncio.to_thread(_standing, self._directory.checkpoint)  # a scan must not hold up rows
        except (sqlite3.Error, BatchrunError) as error:
            self._observe(AlertFailed(f"the checkpoint cannot be looked at: {error}"))
            return []
        since = max(found.since, memory.look(found.pending, now), self._began)
        alerts = alerts_of(self._job.spec, replace(found, now=now, since=since))
        self._keep(memory)
        return [(name, each) for name in self._targets for each in memory.news(name, alerts, now)]

    async def _tell_all(self, news: list[tuple[str, News]]) -> None:
        now = self._wall()
        await asyncio.gather(*(self._tell(name, each, now) for name, each in news))

    async def _tell(self, name: str, news: News, now: float) -> None:
        said = document(self._job.spec.name, self._directory.path, news, now)
        if await reached(self._sender.tell(self._targets[name], said, now), self._observe):
            self._remembered().heard(name, news)
            self._keep(self._remembered())

    async def _ping(self, path: str, said: str = "") -> None:
        await asyncio.gather(*(reached(ping(target, path, said), self._observe) for target in self._pinged))

    @property
    def _pinged(self) -> list[TargetSpec]:
        return [target for target in self._targets.values() if target.ping is not None]

    def _remembered(self) -> Memory:
        if self._memory is None:
            try:
                self._memory = memory_of(self._path.read_bytes())
            except OSError:
                self._memory = Memory()
        return self._memory

    def _keep(self, memory: Memory) -> None:
        with suppress(StoreError):  # then it may be told twice; the run goes on
            write_whole(self._path, memory.written())


def document(job: str, directory: Path, news: News, now: float) -> dict[str, Any]:
    """What a target is told, as JSON values; the same news again has the same `id`."""
    parts = (str(directory), news.alert.rule, str(news.began), news.state)
    return {
        "id": "alert_" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24],
        "job": job,
        "rule": news.alert.rule,
        "state": news.state,
        "message": news.alert.message,
        "began": stamp(news.began),
        "at": stamp(now),
        "run": str(directory),
    }


async def reached(telling: Coroutine[Any, Any, None], observe: Observer) -> bool:
    """Whether a target was told. One that was not is an event, and no error."""
    try:
        await telling
    except (Untold, SpecError) as error:
        observe(AlertFailed(str(error)))
        return False
    return True


def alerting_of(
    job: Job, directory: RunDir, wall: Callable[[], float], observe: Observer, *, patient: bool, emulated: bool
) -> Alerting | None:
    """What speaks up for a run, None for a job without alerts, and for a rehearsal. Raises SpecError."""
    if job.spec.alerts is None or emulated:
        return None
    return Alerting(job, directory, wall, observe, patient=patient)


@asynccontextmanager
async def speaking_up(alerting: Alerting | None) -> AsyncIterator[None]:
    """Alerts are told while the block goes on."""
    if alerting is None:
        yield
        return
    task = asyncio.create_task(alerting.go_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _standing(checkpoint: Path) -> Standing:
    """Where a run stands but for the time, by its checkpoint; in whatever thread."""
    with Reader(checkpoint) as reader:
        outcomes, last, tokens = outcomes_of(reader), glance.last_ended(reader) or 0.0, glance.tokens_counted(reader)
        typical, observed = _typical(glance.latencies_by_model(reader))
        return Standing(0.0, outcomes, outcomes.get("pending", 0), last, typical, observed, tokens)


def _typical(latencies: Sequence[Sequence[float]]) -> tuple[float, int]:
    """How long nearly all answers took of whichever model takes longest, and how many are known of each at least."""
    known = [sorted(found) for found in latencies if found]
    longest = max((found[min(len(found) - 1, int(_NEARLY_ALL * len(found)))] for found in known), default=0.0)
    return longest, min(map(len, latencies))


def _name_of(target: TargetSpec) -> str:
    """A target's name in the file of what was told. It shows nothing of an address."""
    return hashlib.sha256(target.model_dump_json().encode()).hexdigest()[:12]
