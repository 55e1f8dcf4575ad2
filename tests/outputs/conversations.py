"""Conversations in a real checkpoint, written through the Store as the engine does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from batchrun.outputs.export import export
from batchrun.outputs.media import detach
from batchrun.rows import Finish, InputRow, Outcome
from batchrun.store.admission import admit
from batchrun.store.reader import Reader
from batchrun.store.records import Intent
from batchrun.store.store import Store

from .factories import a_context

AT = 1_800_000_000.0


def text(said: str, *annotations: object) -> dict[str, Any]:
    return {"type": "text", "text": said, **({"annotations": list(annotations)} if annotations else {})}


def output(*blocks: object) -> dict[str, Any]:
    return {"type": "model_output", "content": list(blocks)}


def interaction(*steps: object, status: str = "completed", **fields: Any) -> dict[str, Any]:
    return {"status": status, "steps": list(steps), **fields}


def said(words: str, status: str = "completed") -> dict[str, Any]:
    return interaction(output(text(words)), status=status)


class Conversations:
    """A run directory whose rows have had conversations. Keys are those of `rows`."""

    def __init__(self, where: Path, *keys: str) -> None:
        self.media = where / "media"
        self.path = where / "run.db"
        self.store = Store(self.path)
        rows = (InputRow(key, f"rows.jsonl:{n}", f"{n:064}", {"id": key}) for n, key in enumerate(keys or ("a",), 1))
        admit(self.store, rows, AT, named=True, complete=True)
        self.store.begin_epoch()
        self._numbers: dict[str, int] = {}

    def close(self) -> None:
        self.store.close()

    def hold(
        self,
        *answers: dict[str, Any],
        key: str = "a",
        outcome: Outcome | None = Outcome.SUCCEEDED,
        superseded: bool = False,
    ) -> None:
        """Interactions of a row, each the next exchange; a completed one ends the user's turn. Then its outcome."""
        asyncio.run(self._hold(key, answers, outcome, superseded))

    async def _hold(
        self, key: str, answers: Sequence[dict[str, Any]], outcome: Outcome | None, superseded: bool
    ) -> None:
        row_id = self.store.connection.execute("SELECT id FROM row WHERE key = ?", (key,)).fetchone()[0]
        turn = 0
        for exchange, answer in enumerate(answers):
            attempt = await self._answered(row_id, key, (exchange, turn), answer)
            turn += answer["status"] == "completed"
            if superseded:
                await self.store.supersede(attempt, AT + 9)
        if outcome is not None:
            await self.store.finish(row_id, Finish(outcome), AT + 10)

    async def _answered(self, row_id: int, key: str, place: tuple[int, int], answer: dict[str, Any]) -> int:
        number = self._numbers[key] = self._numbers.get(key, 0) + 1
        name = f"v1_{key}_{number}"
        exchange, turn = place
        intent = Intent(
            row_id, key, number, f"{key}-{number}", "f00d", "gemini-3.5-flash", exchange=exchange, turn=turn
        )
        attempt = await self.store.arm(intent, AT)
        await self.store.submitted(attempt, name, AT + 1)
        raw = detach(json.dumps({"id": name, **answer}).encode(), self.media, key)
        status, usage = answer.get("status"), answer.get("usage")
        await self.store.fetched(attempt, raw, AT + 2, status=status, model=None, tier=None, usage=usage, polls=1)
        return attempt

    def export(self, directory: Path, **context: Any) -> dict[str, Path]:
        with Reader(self.path) as reader, reader.snapshot():
            return export(reader, directory, a_context(**{"media": self.media, **context}))

    def results(self, directory: Path, **context: Any) -> list[dict[str, Any]]:
        return records(self.export(directory, **context)["results"])

    def citations(self, directory: Path, **context: Any) -> list[dict[str, Any]]:
        return records(self.export(directory, citations=True, **context)["citations"])


def records(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path, page_checksum_verification=True).to_pylist()
    return found
