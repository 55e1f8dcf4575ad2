"""Hypothesis plays a user who runs, kills, retries, approves, cancels, edits, exports and sets clocks in any order."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.reliability.figures import Figure
from tests.reliability.machines import RunMachine


def prove(where: Path, *, full: bool) -> list[Figure]:
    """200 stories of 50 steps in full. A broken law is raised, with the shortest story that breaks it."""
    stories, steps = (200, 50) if full else (20, 30)
    play(stories, steps)
    count = f"0 of {stories}"
    return [Figure("state machine: stories with a law broken", count, count, True, f"{steps} steps each")]


def play(stories: int, steps: int, *, shortened: bool = True) -> None:
    """Raises the failure of a story that breaks a law, of the shortest if it is `shortened`."""
    limits = settings(
        max_examples=stories,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        database=None,
        phases=tuple(Phase) if shortened else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(RunMachine, settings=limits)
