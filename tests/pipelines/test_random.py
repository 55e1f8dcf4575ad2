"""Random pipelines with random failures, deaths and edits end with the tables of a plain reading, each request paid
for once.
"""

from __future__ import annotations

import pytest

from tests.pipelines.flows import fate_of
from tests.pipelines.plans import EDITS
from tests.reliability.proofs.pipelines import figure, histories

#: Apart from those of the proof itself, so that the two together try more.
SEEDS = range(20_000, 20_030)


def test_a_pipeline_ends_as_its_plan_says_whatever_a_seed_has_in_store(capsys: pytest.CaptureFixture[str]) -> None:
    known = list(histories(SEEDS))
    assert figure(known).met, capsys.readouterr().err
    assert sum(each.deaths for each in known) > len(SEEDS) / 4
    assert sum(each.posts for each in known) > 3 * len(SEEDS)


def test_the_seeds_make_every_edit() -> None:
    made = {name for seed in range(400) for life in fate_of(seed).lives for name in life.edit.split(", ")}
    assert made.issuperset(EDITS)
