"""The short set of the simultaneous starts, and that runs without a lock do not pass."""

from __future__ import annotations

from pathlib import Path

from tests.processes import emulator
from tests.reliability.planted import lock_nothing
from tests.reliability.proofs.starts import prove, race


def test_of_many_starts_at_once_exactly_one_sends(tmp_path: Path) -> None:
    for figure in prove(tmp_path, full=False):
        assert figure.met, figure.note


def test_starts_without_a_lock_are_found_out(tmp_path: Path) -> None:
    with emulator(tmp_path, "--latency", "1s") as url:
        assert race(tmp_path / "unlocked", url, planted=lock_nothing)
