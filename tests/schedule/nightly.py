"""A scheduled job in a temporary directory, ticked in virtual time: the emulator, the runs and the record stay."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchrun.runs.options import Options
from batchrun.runs.run import Result, run
from batchrun.runs.scheduled import Wanted, beginning, record_in
from batchrun.runs.slot_ticks import Stood, settled, tick_slots
from batchrun.schedule.record import Record
from batchrun.spec.load import Job
from tests.rehearsal import Rehearsal


class Nightly(Rehearsal):
    """A job that runs at 3 in the morning, UTC. The clock begins on 2026-11-22 at 13:00 UTC."""

    def __init__(self, where: Path, rows: int = 3, **changes: Any) -> None:
        schedule = {"cron": "0 3 * * *", **changes.pop("schedule", {})}
        super().__init__(where, rows, schedule=schedule, **changes)
        self.latency = "1s"

    @property
    def home(self) -> Path:
        """Where the runs of its slots are."""
        return self.where / "runs" / "sums.emulated"

    def wanted(self, slot: str | None = None) -> Wanted:
        return Wanted(self.write(), slot=slot, emulated=True)

    def tick(self, seconds: float | None = None, **emulator: Any) -> list[Stood]:
        def carry(job: Job, left: float | None) -> Result:
            settings = self.settings(**{"latency": self.latency, **emulator})
            options = Options(emulator=settings, seed=1, patient=False, seconds=left)
            return run(job, options, self.clock.wall, run_async=self.clock.run)

        return list(tick_slots(self.wanted(), carry, self.clock.wall, seconds))

    def told(self, **more: Any) -> list[str]:
        """A tick's slots with their states."""
        return [f"{stood.slot[5:13]} {stood.state}" for stood in self.tick(**more)]

    def by_hand(self, slot: str | None = None) -> Result:
        """What `run` does."""
        with beginning(self.wanted(slot), self.clock.wall()) as (job, record):
            options = Options(emulator=self.settings(latency=self.latency), seed=1)
            carry = lambda: run(job, options, self.clock.wall, run_async=self.clock.run)  # noqa: E731
            return settled(record, job, self.clock.wall, carry)

    def wait(self, until: str) -> None:
        """Let time pass, to a moment such as `11-23T03:00`."""
        self.clock.now += datetime.fromisoformat(f"2026-{until}").replace(tzinfo=UTC).timestamp() - self.clock.wall()

    def record(self) -> Record:
        return record_in(self.home)

    def states(self) -> dict[str, str]:
        """What became of each slot, by its day."""
        with self.record() as record:
            return {entry.name[5:10]: str(entry.state) for entry in record.entries()}
