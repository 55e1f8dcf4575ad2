"""Hostile answers are kept, judged and shown, and no more; a product that changes or prints them is found out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batchrun.cli import printing
from batchrun.spec.judging.schemas import OutputSchema
from batchrun.store.store import Store
from tests.reliability.proofs.hostile_outputs import SCHEMA, TEXTS, broken, made


@pytest.mark.parametrize("schema", [None, SCHEMA], ids=["text", "schema"])
def test_hostile_answers_are_kept_as_they_came_and_end_their_rows(
    tmp_path: Path, schema: dict[str, Any] | None
) -> None:
    texts = [text for text in TEXTS if schema or len(text) < 150_000]
    assert list(broken(tmp_path, [*texts, *made(range(70_000, 70_030))], schema)) == []


def test_a_product_that_keeps_another_answer_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Store.fetched

    async def tidy(self: Store, attempt_id: int, raw: bytes, at: float, **rest: Any) -> None:
        await real(self, attempt_id, raw.decode("utf-8", "replace").replace("\\u0000", "").encode(), at, **rest)

    monkeypatch.setattr(Store, "fetched", tidy)
    assert any("was not kept as it came" in line for line in broken(tmp_path, ["fine", "a\x00b"], None))


def test_a_product_that_prints_what_came_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "json_text", lambda value: str(value["error_message"] if "key" in value else value))
    monkeypatch.setattr(OutputSchema, "problems", lambda *_: ["\x1b[2J"])
    assert any("prints '\\x1b'" in line for line in broken(tmp_path, ["{}"], SCHEMA))
