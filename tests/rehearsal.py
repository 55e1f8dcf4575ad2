"""A job in a temporary directory and an emulator beside it, both on one virtual clock."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from batchrun.emulator import EmulatorSettings, load_faults, parse_latency, read_ledger
from batchrun.engine.events import Observer, ignore
from batchrun.runs.options import Options
from batchrun.runs.run import Result, run
from batchrun.spec.load import load_job
from tests.virtual_time import VirtualTime

SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "integer"}, "steps": {"type": "array", "items": {"type": "string"}}},
    "required": ["answer", "steps"],
}


class Rehearsal:
    """A job of `rows` rows. Each `run` is a process's life: the checkpoint, the emulator's state and the clock stay."""

    def __init__(self, where: Path, rows: int = 20, **changes: Any) -> None:
        self.clock = VirtualTime()
        self.where = where
        self.rows = [{"id": f"r{n}", "question": f"What is {n} plus {n}?"} for n in range(rows)]
        self.spec: dict[str, Any] = {
            "name": "sums",
            "input": {"path": "rows.jsonl", "key": "id"},
            "request": {
                "model": "gemini-3.5-flash",
                "input": "Answer: {{ question }}",
                "response_format": {"schema": SCHEMA},
            },
        }
        for section, values in changes.items():
            self.spec[section] = {**self.spec.get(section, {}), **values}
        where.mkdir(exist_ok=True)

    @property
    def directory(self) -> Path:
        return self.where / "runs" / "sums.emulated"

    def write(self) -> Path:
        path = self.where / "job.json"
        path.write_text(json.dumps(self.spec))
        (self.where / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        return path

    def settings(self, latency: str = "20s", faults: str | None = None, **more: Any) -> EmulatorSettings:
        settings = EmulatorSettings(
            latency=parse_latency(latency),
            faults=load_faults(faults) if faults else (),
            ledger=self.where / "ledger.jsonl",
            state=self.where / "emulator.db",
            clock=self.clock.wall,
        )
        return replace(settings, **more)

    def run(
        self,
        *,
        limit: int | None = None,
        seed: int = 1,
        observe: Observer = ignore,
        accept_change: bool = False,
        looks: float | None = None,
        **emulator: Any,
    ) -> Result:
        settings = self.settings(**emulator)
        options = Options(emulator=settings, limit=limit, seed=seed, accept_change=accept_change, looks=looks)
        return run(load_job(self.write()), options, self.clock.wall, observe, self.clock.run)

    def ledger(self) -> list[dict[str, Any]]:
        return read_ledger(self.where / "ledger.jsonl")

    def billed(self) -> list[dict[str, Any]]:
        return [line for line in self.ledger() if line["billed"]]

    def payments(self) -> Counter[str]:
        """How often each row was paid for, by its key. Each payment's intent has to be in `usage.parquet`."""
        rows = {attempt["intent_key"]: attempt["key"] for attempt in self.usage()}
        return Counter(rows[line["labels"]["batchrun-intent"]] for line in self.billed())

    def accepted(self) -> list[dict[str, Any]]:
        return [line for line in self.ledger() if line["id"]]

    def results(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = pq.read_table(self.directory / "results.parquet").to_pylist()
        return found

    def usage(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = pq.read_table(self.directory / "usage.parquet").to_pylist()
        return found
