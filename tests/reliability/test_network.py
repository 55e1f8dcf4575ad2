"""The short set of the failing networks, and that a client which repeats or forgets POSTs is found out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.reliability.proofs.network import ALL, SERVED, figures, in_turn, outcome_of
from tests.reliability.test_simulation import send_lost_posts_again, take_lost_posts_for_unsent
from tests.reliability.ways import KINDS


def test_networks_that_fail_lose_no_row_and_no_post(capsys: pytest.CaptureFixture[str]) -> None:
    for figure in figures([in_turn((kind, n % 2)) for n, kind in enumerate(ALL[::6])]):
        assert figure.met, capsys.readouterr().err
        assert " exchanges spoilt" in figure.note


def test_there_are_kinds_enough() -> None:
    assert len(KINDS) >= 40
    assert len(SERVED) >= 30


@pytest.mark.parametrize(
    "kind", ["reset instead of the answer", "closed in the status line", "twice", "502 of a proxy"]
)
def test_what_a_proxy_does_reaches_the_client(kind: str) -> None:
    outcomes = [outcome_of(kind, seed, "hold") for seed in range(3)]
    assert all(outcome.struck for outcome in outcomes)
    assert [outcome.broken for outcome in outcomes] == [()] * 3


@pytest.mark.parametrize(
    ("plant", "kind", "policy", "said"),
    [
        (send_lost_posts_again, "reset instead of the answer", "hold", "D: attempt"),
        (take_lost_posts_for_unsent, "closed instead of the answer", "resubmit", "D: attempt"),
    ],
)
def test_a_client_that_is_wrong_is_found_out(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], kind: str, policy: str, said: str
) -> None:
    plant(monkeypatch)
    broken = (line for seed in range(8) for line in outcome_of(kind, seed, policy).broken)
    assert any(said in line for line in broken)
