"""A damaged checkpoint leads to no payment in silence; and a product that begins damaged ones anew is found out."""

from __future__ import annotations

import pytest

from batchrun.store.store import Store
from tests.reliability import planted
from tests.reliability.proofs.damage import fate_of, figures

#: Apart from those of the proof itself.
SEEDS = range(50_000, 50_012)


def test_no_damage_is_paid_for_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    known = [fate_of(seed) for seed in SEEDS]
    assert all(figure.met for figure in figures(known)), capsys.readouterr().err
    assert {each.end.partition(":")[0] for each in known} >= {"recovered", "completed with 0"}


def test_a_product_that_begins_damaged_checkpoints_anew_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "__init__", Store.__init__)  # is put back
    planted.believe_anything()
    assert any(fate_of(seed).again for seed in range(40)), "40 seeds, and none is found out"
