"""The short set of the control commands, and that a run which is not paused when it says so is found out."""

from __future__ import annotations

from pathlib import Path

from tests.processes import emulator
from tests.reliability.planted import pause_nothing
from tests.reliability.proofs.control import Story, prove


def test_commands_at_random_moments_lose_nothing_and_are_answered_or_told_as_not(tmp_path: Path) -> None:
    for figure in prove(tmp_path, full=False):
        assert figure.met, figure.note


def test_a_run_that_sends_in_a_pause_is_found_out(tmp_path: Path) -> None:
    with emulator(tmp_path, "--latency", "200ms") as url:
        story = Story(tmp_path / "deaf", url, 1, 1, rows=120, wishes=[("pause",)], planted=pause_nothing, patience=60)
        assert "POSTs in a pause" in "; ".join(story.faults())
