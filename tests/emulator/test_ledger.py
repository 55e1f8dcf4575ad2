"""The ledger: one line for every POST that arrived, written before the client gets its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from batchrun.emulator import Emulator, EmulatorSettings, load_faults, read_ledger
from batchrun.errors import SpecError
from tests.emulator.in_process import URL, Clock, body, finished, talk


def ledger_of(path: Path, plan: str, *requests: dict[str, Any]) -> list[dict[str, Any]]:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        for request in requests:
            try:
                await client.post(URL, json=request)
            except httpx.TransportError:
                continue

    talk(EmulatorSettings(ledger=path, faults=load_faults(plan), clock=Clock()), conversation)
    return read_ledger(path)


def test_a_line_tells_all_about_a_create(tmp_path: Path) -> None:
    (line,) = ledger_of(tmp_path / "l", "", body(labels={"row": "r1"}))
    assert list(line) == [
        "time", "status", "id", "billed", "labels", "model", "agent", "request_sha256", "occurrence", "usage", "fault",
    ]  # fmt: skip
    assert (line["time"], line["status"], line["billed"], line["fault"]) == (1_800_000_000.0, 200, True, None)
    assert line["labels"] == {"row": "r1"}
    assert line["usage"]["total_tokens"] > 0


def test_refused_and_broken_posts_have_lines_too(tmp_path: Path) -> None:
    plan = "429:#1,drop_before:#2,drop_after:#3,garbage_200:#4,failed:#5"
    requests = [body(input=f"{n}") for n in range(5)] + [{"model": "m"}]
    lines = ledger_of(tmp_path / "l", plan, *requests)
    assert [line["status"] for line in lines] == [429, 0, 0, 200, 200, 400]
    assert [line["billed"] for line in lines] == [False, False, True, True, False, False]
    assert [line["id"] is not None for line in lines] == [False, False, True, True, True, False]
    assert [line["fault"] for line in lines] == ["429", "drop_before", "drop_after", "garbage_200", "failed", None]


def test_the_same_body_is_recognised(tmp_path: Path) -> None:
    first, second = ledger_of(tmp_path / "l", "", body(), body())
    assert first["request_sha256"] == second["request_sha256"]
    assert (first["occurrence"], second["occurrence"]) == (1, 2)


def test_a_later_emulator_appends(tmp_path: Path) -> None:
    ledger_of(tmp_path / "l", "", body())
    assert len(ledger_of(tmp_path / "l", "", body())) == 2


def test_the_usage_in_the_ledger_is_the_usage_that_is_reported(tmp_path: Path) -> None:
    settings = EmulatorSettings(ledger=tmp_path / "l")
    interaction = finished(settings)
    (line,) = read_ledger(tmp_path / "l")
    assert line["usage"] == interaction["usage"]


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "l"
    path.write_text('{"a": 1}\n{"a": ')
    assert read_ledger(path) == [{"a": 1}]


def test_a_ledger_that_cannot_be_written_is_a_spec_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="choose another file"):
        Emulator(EmulatorSettings(ledger=tmp_path / "missing" / "l"))


def test_a_label_that_no_file_can_hold_as_it_is_does_no_harm(tmp_path: Path) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> int:
        content = b'{"model": "m", "input": "x", "labels": {"a": "\\ud800"}}'
        return (await client.post(URL, content=content)).status_code

    assert talk(EmulatorSettings(ledger=tmp_path / "l"), conversation) == 400
