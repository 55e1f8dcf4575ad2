"""The jobs in `jobs/`, run as they are with the command, and what they left behind."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from batchrun.cli import commands
from batchrun.emulator import EmulatorSettings
from batchrun.inputs.read import read_rows
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Call
from batchrun.spec.load import load_job
from batchrun.store.reader import Reader
from tests.emulator.in_process import KEY, URL, talk

FOLDER = Path(__file__).parent.parent / "jobs"
JOBS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
#: Those whose rows flow through stages.
PIPELINES = [name for name in JOBS if load_job(FOLDER / f"{name}.yaml").graph]
#: Of the jobs with many rows, the first.
LIMITS = {"extract_invoices": 4, "extract_invoice_texts": 4, "nightly_inbox": 4}
#: A checkout may be younger than `min_age`, and the output files are looked for in the run directory.
OWN = {"nightly_inbox": ("--set", "input.min_age=0", "--set", "output.dir=null")}
#: Nothing is learned from waiting.
FAST = ("--set", "poll.first=0", "--set", "limits.rpm=6000")


class FunctionCall(NamedTuple):
    """A call of a function. `exchange` is that of the interaction that asks for it, `tries` how often it was run."""

    exchange: int
    name: str
    arguments: dict[str, Any]
    is_error: bool
    tries: int


@dataclass(frozen=True)
class Done:
    """A job that has run: its directory, its address (None: the emulator was in this process), its POSTs' bodies."""

    directory: Path
    url: str | None
    bodies: list[dict[str, Any]]
    exit_code: int
    said: str

    def table(self, name: str = "results") -> dict[str, list[dict[str, Any]]]:
        """The records of an output file, by the key of their row."""
        found: dict[str, list[dict[str, Any]]] = {}
        for record in pq.read_table(self.directory / f"{name}.parquet").to_pylist():
            found.setdefault(record["key"], []).append(record)
        return found

    def row(self, key: str) -> dict[str, Any]:
        (record,) = self.table()[key]
        return record

    def stage(self, name: str) -> dict[str, Any]:
        """The outputs of a stage's rows by their keys, in their order; of rows that were left out None."""
        query = """SELECT key, outcome, error_class, output FROM row WHERE stage = ? AND seen != 0
            ORDER BY position, length(key), key"""
        with closing(sqlite3.connect(self.directory / "run.db")) as database:
            found = database.execute(query, [name]).fetchall()
        assert {(outcome, kind) for _, outcome, kind, _ in found} <= {("succeeded", None), ("skipped", "left_out")}
        return {key.partition(":")[2]: output and json.loads(output) for key, _, _, output in found}

    def answers(self, key: str) -> list[dict[str, Any]]:
        """A row's interactions, as they are kept."""
        with Reader(self.directory / "run.db") as reader:
            row = reader.row(key)
            assert row is not None
            return [json.loads(attempt.raw or b"") for attempt in (*row.earlier, row.attempt) if attempt]

    def requests(self, key: str) -> list[dict[str, Any]]:
        """The bodies of a row's POSTs."""
        with Reader(self.directory / "run.db") as reader:
            labels = {attempt.intent_key for attempt in reader.attempts(key)}
        return [body for body in self.bodies if body["labels"]["batchrun-intent"] in labels]

    def function_calls(self, key: str) -> list[FunctionCall]:
        query = """SELECT exchange, name, arguments, is_error, tries FROM tool_call
            JOIN attempt ON attempt.id = attempt_id JOIN row ON row.id = row_id WHERE key = ?
            ORDER BY exchange, tool_call.position"""
        with closing(sqlite3.connect(self.directory / "run.db")) as database:
            found = database.execute(query, [key]).fetchall()
        return [
            FunctionCall(exchange, name, json.loads(given), bool(bad), tries)
            for exchange, name, given, bad, tries in found
        ]

    def medium(self, key: str) -> Path:
        """The file that came with a row's answer."""
        (medium,) = self.row(key)["media"]
        return self.directory / str(medium["path"])

    def statuses_at_the_service(self) -> set[int]:
        """What GETs of all the job's interactions are answered with."""
        paths = [f"{URL}/{record['interaction_id']}" for records in self.table("usage").values() for record in records]
        if self.url is not None:
            return {httpx.get(self.url + path, headers=KEY).status_code for path in paths}

        async def ask(client: httpx.AsyncClient, _: object) -> set[int]:
            return {(await client.get(path)).status_code for path in paths}

        found: set[int] = talk(EmulatorSettings(state=self.directory / "emulator.db"), ask)
        return found


def run_job(name: str, directory: Path, url: str | None, *options: str) -> Done:
    """Run a job of `jobs/` on the emulator at an address, or on one in this process, with more `options`."""
    service = ["--emulator", "--latency", "0ms"] if url is None else ["--base-url", url]
    limit = ["--limit", str(LIMITS[name])] if name in LIMITS else []
    command = ["run", str(FOLDER / f"{name}.yaml"), "--run-dir", str(directory), *FAST, *OWN.get(name, ())]
    with pytest.MonkeyPatch.context() as patch:
        bodies = _recorded(patch)
        result = CliRunner().invoke(commands, [*command, *service, *limit, *options])
    return Done(directory, url, bodies, result.exit_code, result.output)


def input_keys(name: str) -> list[str]:
    """The keys of the rows that `run_job` runs."""
    job = load_job(FOLDER / f"{name}.yaml")
    return [row.key for row in read_rows(job.spec.input, job.base, limit=LIMITS.get(name))]


def _recorded(patch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The bodies of all POSTs, as they are sent."""
    bodies: list[dict[str, Any]] = []
    real = Client.create

    async def create(self: Client, body: Any, *more: Any, **others: Any) -> Call:
        bodies.append(json.loads(bytes(body)))
        return await real(self, body, *more, **others)

    patch.setattr(Client, "create", create)
    return bodies
