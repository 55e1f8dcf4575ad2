"""Latencies as people write them, and what is drawn from them."""

from __future__ import annotations

import pytest

from batchrun.emulator.latency import Latency, parse_latency
from batchrun.errors import SpecError


@pytest.mark.parametrize(
    ("text", "latency"),
    [
        ("200ms", Latency("constant", 0.2)),
        ("0", Latency("constant", 0.0)),
        ("1.5m", Latency("constant", 90.0)),
        ("uniform:1s,5s", Latency("uniform", 1.0, 5.0)),
        ("lognormal:20s,1.0", Latency("lognormal", 20.0, 1.0)),
    ],
)
def test_a_latency_is_read(text: str, latency: Latency) -> None:
    assert parse_latency(text) == latency


@pytest.mark.parametrize("text", ["", "soon", "-1s", "normal:1s,2", "lognormal:20s", "uniform:5s,1s", "lognormal:1s,x"])
def test_a_wrong_latency_says_what_to_write(text: str) -> None:
    with pytest.raises(SpecError, match="latency"):
        parse_latency(text)


def test_half_of_the_lognormal_draws_are_below_the_median() -> None:
    latency = parse_latency("lognormal:20s,1.0")
    assert latency.draw(0.5) == pytest.approx(20)
    assert latency.draw(0.1) < 20 < latency.draw(0.9)
