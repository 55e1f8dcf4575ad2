"""The short set of the revoked keys, and that a runner which goes on sending is found out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from batchrun.engine import submit
from batchrun.engine.attempt import Attempt
from batchrun.engine.post import Posting
from batchrun.engine.retry import Meaning, classify
from batchrun.engine.submit import Submitter
from batchrun.interactions.evidence import PostResult, Refused
from tests.reliability.proofs.revocation import Revoked, faults, prove
from tests.reliability.scratch import scratch


def test_a_revoked_key_stops_a_run_within_its_open_slots_and_costs_no_row(tmp_path: Path) -> None:
    for figure in prove(tmp_path, full=False):
        assert figure.met, figure.note


def free_the_slot_before_posts_stop(patch: pytest.MonkeyPatch) -> None:
    async def settled(self: Submitter, posting: Posting, result: PostResult) -> Attempt:
        return await self._attempt(posting, result)

    patch.setattr(Submitter, "_settled", settled)


def blame_the_row(patch: pytest.MonkeyPatch) -> None:
    def blamed(refusal: Refused) -> Meaning:
        found = classify(refusal)
        return Meaning.ROW if found in (Meaning.CREDENTIALS, Meaning.DENIED) else found

    patch.setattr(submit, "classify", blamed)


@pytest.mark.parametrize(
    ("plant", "said"),
    [(free_the_slot_before_posts_stop, "POSTs came after the revocation"), (blame_the_row, "rows are lost")],
)
def test_a_runner_that_goes_on_with_a_revoked_key_is_found_out(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], said: str
) -> None:
    plant(monkeypatch)
    with scratch() as folder:
        runs = (faults(Path(folder) / str(seed), Revoked.by(seed, slots=4)) for seed in range(20))
        assert any(said in line for found in runs for line in found)
