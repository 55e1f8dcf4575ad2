"""Runs that die, are stopped and go on break no law; and a runner that is wrong breaks one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from batchrun.engine.polling import Patience, Verdict
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Call, Lost, NotSent
from batchrun.runs import opening
from batchrun.store.store import Store
from tests.reliability.fates import KINDS, fate_of
from tests.reliability.proofs.simulation import figure, histories, history_of

#: Apart from those of the proof itself, so that the two together try more.
SEEDS = range(20_000, 21_000)


def test_no_law_is_broken_whatever_a_seed_has_in_store(capsys: pytest.CaptureFixture[str]) -> None:
    known = list(histories(SEEDS))
    made = figure(known)
    assert made.met, capsys.readouterr().err
    assert sum(each.deaths for each in known) > len(SEEDS) / 3
    assert sum(each.stops for each in known) > len(SEEDS) / 4
    assert sum(each.doubts for each in known) > len(SEEDS) / 3
    assert {fate_of(seed).kind for seed in SEEDS} == set(KINDS)


def test_a_seed_has_one_history() -> None:
    assert [history_of(seed) for seed in SEEDS[:5]] == [history_of(seed) for seed in SEEDS[:5]]


def send_lost_posts_again(patch: pytest.MonkeyPatch) -> None:
    real = Client.create

    async def create(self: Client, body: bytes, timeout: float | None = None) -> Call:
        call = await real(self, body, timeout)
        return await real(self, body, timeout) if isinstance(call, Lost) else call

    patch.setattr(Client, "create", create)


def take_lost_posts_for_unsent(patch: pytest.MonkeyPatch) -> None:
    real = Client.create

    async def create(self: Client, body: bytes, timeout: float | None = None) -> Call:
        call = await real(self, body, timeout)
        return NotSent(call.reason) if isinstance(call, Lost) else call

    patch.setattr(Client, "create", create)


def take_posts_of_the_dead_for_unsent(patch: pytest.MonkeyPatch) -> None:
    real = Store.begin_epoch

    def begin(self: Store) -> int:
        self.connection.execute("UPDATE attempt SET state = 'not_sent' WHERE state = 'intent'")
        return real(self)

    patch.setattr(Store, "begin_epoch", begin)
    patch.setattr(opening, "refuse_distrusted", lambda *_: None)  # the ledger knows better


def begin_answered_rows_anew(patch: pytest.MonkeyPatch) -> None:
    real = Store.begin_epoch

    def begin(self: Store) -> int:
        self.connection.execute("UPDATE attempt SET state = 'intent' WHERE state = 'fetched'")
        return real(self)

    patch.setattr(Store, "begin_epoch", begin)


def keep_another_answer(patch: pytest.MonkeyPatch) -> None:
    real = Store.fetched

    async def fetched(self: Store, attempt_id: int, raw: bytes, at: float, **rest: Any) -> None:
        await real(self, attempt_id, raw.replace(b'"text":"', b'"text":"!'), at, **rest)

    patch.setattr(Store, "fetched", fetched)


def lose_the_usage(patch: pytest.MonkeyPatch) -> None:
    real = Store.fetched

    async def fetched(self: Store, attempt_id: int, raw: bytes, at: float, **rest: Any) -> None:
        await real(self, attempt_id, raw, at, **{**rest, "usage": None})

    patch.setattr(Store, "fetched", fetched)


def wait_for_ever(patch: pytest.MonkeyPatch) -> None:
    real = Patience.judge
    patience = (Verdict.LATE, Verdict.LOST)

    def judge(self: Patience, poll: Any, now: float) -> Any:
        found = real(self, poll, now)
        return Verdict.WAIT if found in patience else found

    patch.setattr(Patience, "judge", judge)


@pytest.mark.parametrize(
    ("plant", "law"),
    [
        (send_lost_posts_again, "D: attempt"),
        (take_lost_posts_for_unsent, "D: attempt"),
        (take_posts_of_the_dead_for_unsent, "D: "),
        (begin_answered_rows_anew, "I6: "),
        (keep_another_answer, "I3: "),
        (lose_the_usage, "I5: "),
        (wait_for_ever, "a life without an end"),
    ],
)
def test_a_runner_that_is_wrong_breaks_a_law(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], law: str
) -> None:
    plant(monkeypatch)
    broken = (line for seed in range(200) for line in history_of(seed).broken)
    assert any(law in line for line in broken), f"200 seeds, and none breaks {law!r}"
