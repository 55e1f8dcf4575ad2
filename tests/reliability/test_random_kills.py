"""The short set of the random kills, and that their judge counts what it should."""

from __future__ import annotations

from pathlib import Path

from tests.processes import emulator
from tests.reliability.planted import forget_intents
from tests.reliability.proofs.random_kills import Ordeal, prove


def test_kills_at_random_moments_cost_at_most_the_slots_that_were_open(tmp_path: Path) -> None:
    for figure in prove(tmp_path, full=False):
        assert figure.met, figure.note


def test_a_run_that_forgets_open_slots_is_found_to_pay_for_them_again(tmp_path: Path) -> None:
    with emulator(tmp_path, "--latency", "0s", "--faults", "slow=300ms:1.0") as url:
        careful = Ordeal(tmp_path / "careful", url, 3, hold=True, rows=40)
        assert careful.faults(careful.survive(2)) == []
        assert careful.slots > 0
        forgetful = Ordeal(tmp_path / "forgetful", url, 3, hold=True, rows=40, planted=forget_intents)
        faults = "\n".join(forgetful.faults(forgetful.survive(2)))
    assert "payments for one attempt" in faults
