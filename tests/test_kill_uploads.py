"""A process killed in the middle of an upload, over a real socket: the next one goes on with the same upload."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import command, emulator, finish, ledger, start, write_job
from tests.test_kill import wait_until

SIZE = 400_000_000


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BATCHRUN_STATE", str(tmp_path / "state"))
    return tmp_path / "state" / "files.db"


def uploads(state: Path) -> list[tuple[Any, ...]]:
    """Name and bytes received of every upload on record."""
    if not state.exists():
        return []
    with sqlite3.connect(f"file:{state}?mode=ro", uri=True) as connection:
        try:
            return connection.execute("SELECT name, received FROM upload").fetchall()
        except sqlite3.OperationalError:  # its table is not made yet
            return []


def test_an_upload_goes_on_after_a_kill(tmp_path: Path, state: Path) -> None:
    write_job(tmp_path, 5, request={"model": "gemini-3.5-flash", "input": [{"type": "audio", "path": "long.aac"}]})
    with (tmp_path / "long.aac").open("wb") as file:
        file.write(b"\xff\xf1")
        file.truncate(SIZE)
    with emulator(tmp_path, "--latency", "0s") as url:
        run = start(tmp_path, "run", "job.json", "--base-url", url, "--quiet")
        wait_until(lambda: any(received > 0 for _, received in uploads(state)))
        run.kill()
        assert finish(run)[0] == -signal.SIGKILL
        ((name, received),) = uploads(state)
        assert 0 < received < SIZE
        assert ledger(tmp_path) == []
        code, out, err = command(tmp_path, "run", "job.json", "--base-url", url, "--json")
        assert code == 0, err
        assert json.loads(out)["succeeded"] == 5
        files = httpx.get(f"{url}/v1beta/files", headers={"x-goog-api-key": "none"}).json()["files"]
    assert [(file["name"], int(file["sizeBytes"])) for file in files] == [(name, SIZE)]
    assert uploads(state) == [(name, SIZE)]
