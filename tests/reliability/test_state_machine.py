"""Whatever a user does to a run, and in whatever order: a short set of the stories that the proof tries."""

from __future__ import annotations

import pytest

from batchrun.store.store import Store
from tests.reliability.proofs.state_machine import play


def test_no_story_breaks_a_law() -> None:
    play(stories=12, steps=15)


def test_a_second_life_that_forgets_the_answers_of_the_first_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Store.begin_epoch

    def begin(self: Store) -> int:
        self.connection.execute("UPDATE attempt SET state = 'refused' WHERE state = 'fetched'")
        return real(self)

    monkeypatch.setattr(Store, "begin_epoch", begin)
    with pytest.raises(AssertionError, match="I6: a state goes backwards"):
        play(stories=12, steps=15, shortened=False)
