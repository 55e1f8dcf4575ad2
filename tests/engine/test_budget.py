"""A limit in money holds whatever the service does, and a run that it stops goes on when it is raised."""

from __future__ import annotations

import sqlite3
from base64 import b64encode
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchrun.errors import Exit, SpecError
from batchrun.prices.table import load_prices
from batchrun.runs.bills import day_of
from tests.emulator.media_files import pdf, picture, wav
from tests.engine.test_resume import stop_at_event
from tests.rehearsal import Rehearsal

MOST_OF_A_ROW = Decimal("0.0186")


def rehearsal(where: Path, max_cost: float | None, rows: int = 40, **limits: Any) -> Rehearsal:
    """Rows that may cost a little over 1.8 cents each, for an answer of 2,000 tokens, and cost far less."""
    request = {"generation_config": {"max_output_tokens": 2000}}
    return Rehearsal(where, rows, request=request, limits={"max_cost": max_cost, **limits})


def paid(job: Rehearsal) -> Decimal:
    """What the service has charged for, in dollars."""
    prices, total = load_prices(), Decimal(0)
    for line in job.billed():
        cost = prices.cost_of(line["model"], "standard", line["usage"], day_of(job.clock.wall()))
        assert cost is not None
        total += cost.total
    return total


def test_a_run_stops_before_its_limit_and_goes_on_when_it_is_raised(tmp_path: Path) -> None:
    job = rehearsal(tmp_path, 0.03)
    result = job.run()
    assert result.exit_code is Exit.TRY_LATER
    assert "limits.max_cost of $0.03 leaves no room" in str(result.stopped_by)
    assert (result.summary.in_flight, result.summary.failed) == (0, 0)
    assert Decimal("0.03") - MOST_OF_A_ROW < paid(job) <= Decimal("0.03")
    sent = len(job.billed())
    assert 3 < sent < 40
    assert job.run().exit_code is Exit.TRY_LATER
    assert len(job.billed()) == sent
    job.spec["limits"]["max_cost"] = 5
    assert job.run().exit_code is Exit.OK
    assert len(job.billed()) == 40


def test_only_as_much_is_in_flight_as_the_limit_could_pay_for(tmp_path: Path) -> None:
    job = rehearsal(tmp_path, 0.1, in_flight=200)
    job.run(limit=40, latency="60s")
    starts = sorted(line["time"] for line in job.billed())
    assert sum(start < starts[0] + 30 for start in starts) == 0.1 // float(MOST_OF_A_ROW)


def test_what_nobody_knows_of_is_charged_as_the_most_that_it_may_have_cost(tmp_path: Path) -> None:
    job = rehearsal(tmp_path, 0.05)
    job.spec["retry"] = {"ambiguous": {"model": "hold"}}
    result = job.run(faults="drop_after:1.0")
    assert len(job.billed()) == 2
    assert result.summary.ambiguous == 2
    assert result.exit_code is Exit.TRY_LATER


def test_what_was_refused_is_charged_with_nothing(tmp_path: Path) -> None:
    job = rehearsal(tmp_path, 0.05, rows=4)
    job.spec["limits"]["posts"] = 1
    assert job.run(faults="429:#1,429:#2,503:#3,503:#5").exit_code is Exit.OK
    assert len(job.ledger()) == 8


def test_a_limit_that_is_set_later_counts_what_was_spent_before(tmp_path: Path) -> None:
    job = rehearsal(tmp_path, None)
    job.run(limit=20)
    before = paid(job)
    job.spec["limits"]["max_cost"] = float(before)
    with pytest.raises(SpecError, match="an answer of 2,000 tokens may cost"):
        job.run()
    job.spec["limits"]["max_cost"] = float(before) + 0.0179
    result = job.run()
    assert "leaves no room" in str(result.stopped_by)
    assert len(job.billed()) == 20


@pytest.mark.parametrize("seed", range(6))
def test_no_fault_and_no_death_brings_the_cost_above_the_limit(tmp_path: Path, seed: int) -> None:
    job = rehearsal(tmp_path, 0.12, rows=60)
    for life in range(3):
        job.run(
            seed=seed, faults="drop_after:0.1,500:0.1,failed:0.1,429:0.1,stuck:0.02,no_usage:0.1", limit=20 * (life + 1)
        )
        if life == 0:
            forget_an_outcome(job)
    assert paid(job) <= Decimal("0.12")


def forget_an_outcome(job: Rehearsal) -> None:
    """As if the process had died before the answer to its last POST was on record."""
    with sqlite3.connect(job.directory / "run.db") as db:
        last = "(SELECT max(id) FROM attempt WHERE state = 'submitted')"
        db.execute(f"UPDATE attempt SET state = 'intent', interaction_id = NULL WHERE id = {last}")
    (job.directory / "run.ledger").unlink()


@pytest.mark.parametrize(
    ("request_section", "said"),
    [
        ({"model": "gemini-of-tomorrow"}, "no price is known for 'gemini-of-tomorrow'"),
        ({"model": None, "agent": "deep-research-preview-04-2026"}, "nothing bounds what an interaction"),
    ],
)
def test_a_limit_that_cannot_be_kept_is_refused_before_anything_is_sent(
    tmp_path: Path, request_section: dict[str, Any], said: str
) -> None:
    job = Rehearsal(tmp_path, 3, request=request_section, limits={"max_cost": 1})
    job.spec["request"].pop("response_format")
    with pytest.raises(SpecError, match=said):
        job.run()
    assert not (tmp_path / "ledger.jsonl").exists()


def test_prices_of_the_users_own_count(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[[price]]\nmodels = ["gemini-3.5-flash"]\ninput = 1000\noutput = 1000\n')
    job = rehearsal(tmp_path, 1, rows=3)
    job.spec["limits"]["prices"] = "mine.toml"
    with pytest.raises(SpecError, match=r"an answer of 2,000 tokens may cost \$2\.00 by itself, more than the \$1\.00"):
        job.run()
    assert not (tmp_path / "ledger.jsonl").exists()


def test_a_job_of_many_turns_sets_each_interaction_aside(tmp_path: Path) -> None:
    job = rehearsal(tmp_path, 0.2, rows=10, posts=2)
    job.spec["request"].pop("input")
    job.spec["request"].pop("response_format")
    job.spec["request"]["turns"] = ["Answer: {{ question }}", "Why?", "Really?"]
    result = job.run()
    assert paid(job) <= Decimal("0.2")
    job.spec["limits"]["max_cost"] = 50
    assert job.run().exit_code is Exit.OK
    assert len(job.billed()) == 30
    assert result.summary.failed == 0


def test_an_agent_of_a_row_that_nothing_bounds_is_not_sent(tmp_path: Path) -> None:
    job = rehearsal(tmp_path, 5, rows=2)
    job.spec["request"].pop("response_format")
    job.spec["request"].pop("generation_config")
    job.rows[0]["request"] = {"agent": "deep-research-preview-04-2026", "input": "Why?"}
    result = job.run()
    assert (result.summary.errors, result.summary.succeeded) == ({"unpriced": 1}, 1)
    assert len(job.ledger()) == 1


def test_thoughts_are_within_the_longest_answer(tmp_path: Path) -> None:
    job = rehearsal(tmp_path, 0.01, rows=40)
    job.spec["request"]["generation_config"] = {"max_output_tokens": 20, "thinking_level": "high"}
    job.spec["request"].pop("response_format")
    job.run()
    assert paid(job) <= Decimal("0.01")
    assert all(
        line["usage"]["total_output_tokens"] + line["usage"]["total_thought_tokens"] <= 20 for line in job.billed()
    )


def test_other_prices_charge_what_was_spent_before_anew(tmp_path: Path) -> None:
    job = rehearsal(tmp_path, 50, rows=10)
    job.run(limit=5)
    table = '[[price]]\nmodels = ["gemini-3.5-flash"]\ninput = {}\noutput = {}\n'
    (tmp_path / "mine.toml").write_text(table.format(15, 90))
    job.spec["limits"]["prices"] = "mine.toml"
    assert job.run(limit=6).summary.charged_usd == pytest.approx(float(10 * paid(job)))
    (tmp_path / "mine.toml").write_text(table.format(1.5, 9))
    assert job.run(limit=7).summary.charged_usd == pytest.approx(float(paid(job)))


def test_a_rows_own_tier_sets_its_own_price_aside(tmp_path: Path) -> None:
    job = rehearsal(tmp_path, 0.02, rows=2)
    job.rows[0]["request"] = {"service_tier": "priority"}
    job.rows[1]["request"] = {"service_tier": ["hostile"]}
    assert job.run().summary.errors == {"unpriced": 1, "over_budget": 1}
    assert "this request may cost $0.033" in job.results()[0]["error_message"]
    assert job.ledger() == []


def test_sound_in_a_rows_own_request_counts_by_its_length(tmp_path: Path) -> None:
    job = rehearsal(tmp_path, 0.03, rows=1)
    sound = {"type": "audio", "mime_type": "audio/mpeg", "data": "AAAA" * 500_000}
    job.rows[0]["request"] = {"input": [sound, {"type": "text", "text": "Who speaks?"}]}
    assert job.run().summary.errors == {"over_budget": 1}
    assert job.ledger() == []


@pytest.mark.parametrize("kind", ["pages", "picture", "fine picture", "samples", "history", "tokens without end"])
def test_what_a_row_brings_along_is_counted_at_its_most(tmp_path: Path, kind: str) -> None:
    job = rehearsal(tmp_path, 0.5, rows=30)
    brought = {
        "pages": {"input": [_held("document", "application/pdf", pdf(*["page"] * 300))]},
        "picture": {"input": [_held("image", "image/png", picture(3000, 3000))]},
        "fine picture": {"input": [{**_held("image", "image/png", picture(9, 9)), "resolution": "ultra_high"}]},
        "samples": {"input": [_held("audio", "audio/wav", wav(300, rate=4000))]},
        "history": {"previous_interaction_id": "v1_long"},
        "tokens without end": {"generation_config": {"max_output_tokens": 10**400}},
    }
    for row in job.rows:
        row["request"] = brought[kind]
    job.run()
    assert paid(job) <= Decimal("0.5")


def _held(kind: str, mime_type: str, content: bytes) -> dict[str, Any]:
    return {"type": kind, "mime_type": mime_type, "data": b64encode(content).decode()}


def test_one_request_that_could_never_fit_fails_alone(tmp_path: Path) -> None:
    job = rehearsal(tmp_path, 0.5, rows=5)
    job.rows[1]["request"] = {"previous_interaction_id": "v1_long"}
    result = job.run()
    assert (result.summary.succeeded, result.summary.errors) == (4, {"over_budget": 1})


def test_a_limit_that_is_set_while_interactions_are_in_flight_counts_them_at_their_most(tmp_path: Path) -> None:
    job = rehearsal(tmp_path, None, rows=8, in_flight=4, posts=1)
    job.spec["request"]["service_tier"] = "priority"
    for row in job.rows:
        row["question"] = "word " * 40_000
    with stop_at_event(4) as observe:
        job.run(observe=observe, latency="1h")
    job.spec["limits"] |= {"max_cost": 0.6, "in_flight": 20}
    result = job.run(latency="1h")
    prices = load_prices()
    spent = [prices.cost_of(line["model"], "priority", line["usage"], day_of(0.0)) for line in job.billed()]
    assert sum(cost.total for cost in spent if cost is not None) <= Decimal("0.6")
    assert result.exit_code is Exit.TRY_LATER


def test_what_is_in_flight_is_fetched_though_few_rows_may_be_under_way_and_nothing_more_fits(tmp_path: Path) -> None:
    job = rehearsal(tmp_path, 1, rows=10, posts=1)
    job.spec["request"].pop("input")
    job.spec["request"].pop("response_format")
    job.spec["request"]["turns"] = ["Answer: {{ question }}", "Why?"]
    with stop_at_event(10) as observe:
        job.run(observe=observe, latency="1h")
    assert len(job.billed()) == 10
    job.spec["limits"] |= {"in_flight": 1, "max_cost": 0.175}
    result = job.run()
    assert result.exit_code is Exit.TRY_LATER
    assert result.summary.in_flight == 0
    sent = len(job.billed())
    job.run()
    assert len(job.billed()) > sent
    assert paid(job) < Decimal("0.175")
