"""The mutants are mistakes in today's source, and are killed by those tests that are there for them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.reliability.mutations import MUTATIONS, SEEDS, Mutation
from tests.reliability.proofs.mutants import survivors

ROOT = Path(__file__).parents[2]
#: Two whose tests take a second.
QUICK = ("commits do not wait for the disk", "502 is taken for a refusal")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "_"))
def test_a_mutation_fits_the_source(tmp_path: Path, mutation: Mutation) -> None:
    (tmp_path / mutation.file).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "batchrun" / mutation.file, tmp_path / mutation.file)
    mutation.apply(tmp_path)
    assert mutation.after in (tmp_path / mutation.file).read_text()


def test_the_tests_of_every_mutation_are_there() -> None:
    for test in {test for mutation in MUTATIONS for test in mutation.tests} - {SEEDS}:
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text() if name else (ROOT / path).exists()


def test_mutants_are_killed_and_what_is_right_survives() -> None:
    quick = [mutation for mutation in MUTATIONS if mutation.name in QUICK]
    right = Mutation("nothing", quick[0].file, quick[0].before, quick[0].before, quick[0].tests)
    assert survivors([*quick, right]) == [right]


def test_a_source_that_has_changed_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\nx = 1\n")
    with pytest.raises(ValueError, match=r"'twice': a\.py has 2 places"):
        Mutation("twice", "a.py", "x = 1", "x = 2", ()).apply(tmp_path)
