"""What people are told of rows without an answer: looked for again for free, expiring, expired."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchrun.cli import look
from tests.engine.test_resume import stop_at_event
from tests.rehearsal import Rehearsal

from .test_commands import batchrun


def test_retry_says_what_is_free_and_what_is_billed(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=4)
    job.run(faults="404_after_create=inf:#1,failed:#2")
    path = str(tmp_path / "job.json")
    said = batchrun("retry", path).stdout
    assert "1 row pending again, to be polled once more for free (--anew would pay again)." in said
    assert "1 row pending again; what failed is sent, and billed, anew where it has to be." in said
    job.run()
    said = batchrun("retry", path, "--anew").stdout
    assert "polled" not in said
    assert "1 row pending again; what failed is sent, and billed, anew" in said
    assert "batchrun run" in said


def test_status_warns_of_results_that_expire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Rehearsal(tmp_path, rows=2, limits={"posts": 1, "in_flight": 1})
    with stop_at_event(1) as observe:
        job.run(observe=observe)
    monkeypatch.setattr(look, "wall_clock", job.clock.wall)
    assert "results are kept" not in batchrun("status", str(job.directory)).stdout
    job.clock.now += 30 * 86400
    assert "1 interaction in flight past half of the 55 days" in batchrun("status", str(job.directory)).stdout
    expiry = json.loads(batchrun("status", str(job.directory), "--json").stdout)["expiry"]
    assert (expiry["retention"], expiry["half"], expiry["most"], expiry["over"]) == (55 * 86400, 1, 0, 0)
    job.clock.now += 20 * 86400
    assert "WARNING: 1 interaction in flight past nine tenths" in batchrun("status", str(job.directory)).stdout
