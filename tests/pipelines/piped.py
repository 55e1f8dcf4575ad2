"""A rehearsal of a job of stages, whose model says what a prompt asks it to say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from batchrun.emulator import EmulatorSettings
from batchrun.emulator.outcome import Outcome
from batchrun.emulator.prompts import Prompt, plain_text
from batchrun.emulator.rules.request import Order
from batchrun.runs.directory import RunDir
from batchrun.runs.run import retry
from batchrun.spec.load import Job, load_job
from batchrun.store.reader import Reader
from tests.rehearsal import Rehearsal

MODEL = "gemini-3.5-flash"
_SAY = re.compile(r"say (\S+)", re.IGNORECASE)


def ask(prompt: str, **more: Any) -> dict[str, Any]:
    """A stage that asks this; the model answers what stands after `say`, and fails where that is `failure`."""
    request = more.pop("request", {})
    return {"request": {"model": MODEL, "input": prompt, **request}, **more}


def say(order: Order, prompt: Prompt, made: Any) -> Outcome:
    """The emulator's replies."""
    found = _SAY.search(plain_text(order.body.get("input")))
    if found is not None and found[1] == "failure":
        return Outcome("failed", [], None)
    text = found[1] if found else "nothing"
    return Outcome("completed", [{"type": "model_output", "content": [{"type": "text", "text": text}]}], made().usage)


class Piped(Rehearsal):
    """`code` is the module `steps` beside the job. Rows have `id`, `word` and `group`."""

    def __init__(
        self, where: Path, stages: Mapping[str, Any], *, code: str = "", rows: int = 4, **changes: Any
    ) -> None:
        super().__init__(where, rows, **changes)
        self.rows = [{"id": f"r{n}", "word": f"w{n}", "group": f"g{n % 2}"} for n in range(rows)]
        del self.spec["request"]
        self.spec["stages"] = dict(stages)
        self.code = code
        self.odd = ""
        """What the input has after its rows."""

    def write(self) -> Path:
        (self.where / "steps.py").write_text(self.code)
        path = super().write()
        with (self.where / "rows.jsonl").open("a") as rows:
            rows.write(self.odd)
        return path

    def settings(self, latency: str = "20s", faults: str | None = None, **more: Any) -> EmulatorSettings:
        return super().settings(latency, faults, **{"replies": say, **more})

    def load(self) -> Job:
        return load_job(self.write())

    def retry(self, *keys: str) -> int:
        again = retry(self.load(), RunDir(self.directory), ["failed"], list(keys), self.clock.wall())
        return again.to_send

    def outputs(self, stage: str) -> dict[str, str | None]:
        """What came of each row of a stage, as JSON, by its key within the stage."""
        with closing(Reader(self.directory / "run.db")) as reader:
            return {row.key.removeprefix(f"{stage}:"): row.output for row in reader.rows(stage)}

    def ends(self, stage: str) -> dict[str, tuple[str | None, str | None]]:
        """Outcome and message of each row of a stage."""
        with closing(Reader(self.directory / "run.db")) as reader:
            return {row.key.removeprefix(f"{stage}:"): (row.outcome, row.error_message) for row in reader.rows(stage)}

    def table(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = pq.read_table(self.directory / name).to_pylist()
        return found

    def sent(self) -> list[str]:
        """The rows of all accepted POSTs in the order of their arrival."""
        with closing(Reader(self.directory / "run.db")) as reader:
            keys = {attempt.intent_key: attempt.key for attempt in reader.attempts()}
        return [keys[line["labels"]["batchrun-intent"]] for line in self.accepted()]
