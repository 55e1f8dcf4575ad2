"""The short set of the kills at labelled points, and that a faulty product does not pass."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.processes import emulator
from tests.reliability.labels import LABELS
from tests.reliability.planted import forget_intents
from tests.reliability.proofs.kill_points import Death, Killing, deaths, prove


def test_a_kill_at_any_labelled_point_loses_no_row_and_pays_for_none_twice(tmp_path: Path) -> None:
    for figure in prove(tmp_path, full=False):
        assert figure.met, figure.note


def test_all_labels_are_killed_at_first_second_and_last_occurrence_in_full() -> None:
    counted = Counter(dict.fromkeys(LABELS, 7))
    assert len(LABELS) == len({label.words for label in LABELS}) >= 40
    assert deaths(counted, full=True) == [Death(label, n) for label in LABELS for n in (1, 2, 7)]


def test_a_run_that_forgets_the_intents_of_the_dead_is_found_to_pay_twice(tmp_path: Path) -> None:
    (label,) = (label for label in LABELS if label.words == "plain/after_evidence")
    with emulator(tmp_path, "--latency", "0s") as url:
        assert Killing(tmp_path, url).faults(Death(label, 2)) == []
        faults = "\n".join(Killing(tmp_path, url, forget_intents).faults(Death(label, 1)))
    assert "is one of 2 payments for one attempt" in faults
