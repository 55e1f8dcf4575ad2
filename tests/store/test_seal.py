"""A sealed checkpoint is as it was left; whatever else it may be, it is looked through."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchrun.errors import Exit, StoreError
from batchrun.store.seal import is_sealed
from tests.engine.test_resume import death
from tests.rehearsal import Rehearsal


def files(job: Rehearsal) -> tuple[Path, Path]:
    return job.directory / "run.db", job.directory / "run.ledger"


def test_a_run_that_ended_well_is_sealed_and_goes_on(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 6)
    job.run(limit=3)
    assert is_sealed(*files(job))
    assert (job.directory / "run.seal").stat().st_mode & 0o777 == 0o600
    assert job.run().exit_code is Exit.OK
    assert len(job.billed()) == 6


@pytest.mark.parametrize("name", ["run.db", "run.ledger", "run.seal"])
def test_one_other_byte_breaks_the_seal(tmp_path: Path, name: str) -> None:
    job = Rehearsal(tmp_path, 3)
    job.run()
    content = bytearray((job.directory / name).read_bytes())
    content[len(content) // 2] ^= 1
    (job.directory / name).write_bytes(content)
    assert not is_sealed(*files(job))


def test_a_run_that_died_is_not_sealed(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 6)
    job.run(limit=2)
    with death(4, before=False):
        job.run()
    assert not is_sealed(*files(job))


def test_what_is_refused_is_not_sealed(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 3)
    job.run(limit=2)
    ledger = job.directory / "run.ledger"
    other = Rehearsal(tmp_path / "other", 3)
    other.run(limit=2, seed=2)
    ledger.write_bytes((other.directory / "run.ledger").read_bytes())
    for _ in range(2):
        with pytest.raises(StoreError, match="recover"):
            job.run()
        assert not is_sealed(*files(job))
