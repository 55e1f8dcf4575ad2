"""A quota that is used up stops POSTs, not polls, and the message says when there is quota again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from batchrun.engine.quota import advice, next_midnight, told
from batchrun.errors import Exit
from batchrun.interactions.models import ApiError
from tests.rehearsal import Rehearsal
from tests.virtual_time import EPOCH

BERLIN = ZoneInfo("Europe/Berlin")


def unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize("fault", ["429_daily", "429_daily_new"])
def test_the_days_quota_stops_posts_names_the_reset_and_the_next_day_goes_on(tmp_path: Path, fault: str) -> None:
    job = Rehearsal(tmp_path, rows=30, limits={"posts": 3})
    result = job.run(faults=f"{fault}:#10", latency="60s")
    assert result.exit_code is Exit.TRY_LATER
    assert "reset at midnight Pacific time: 2026-11-23 08:00 UTC" in str(result.stopped_by)
    assert len(job.ledger()) - len(job.billed()) <= 3
    assert (result.summary.succeeded, result.summary.in_flight, result.summary.failed) == (len(job.billed()), 0, 0)
    job.clock.now = next_midnight(job.clock.wall()) - EPOCH
    assert job.run().exit_code is Exit.OK
    assert len(job.billed()) == 30


@pytest.mark.parametrize("fault", ["402", "429_spend_cap"])
def test_a_spend_cap_stops_posts_and_names_no_time(tmp_path: Path, fault: str) -> None:
    job = Rehearsal(tmp_path, rows=20, limits={"posts": 2})
    result = job.run(faults=f"{fault}:#7", latency="60s")
    assert result.exit_code is Exit.TRY_LATER
    assert "spend caps in AI Studio" in str(result.stopped_by)
    assert "Pacific" not in str(result.stopped_by)
    assert len(job.ledger()) - len(job.billed()) <= 2
    assert (result.summary.in_flight, result.summary.failed) == (0, 0)


def test_a_spend_rate_limit_is_waited_out_with_few_posts(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=10, limits={"posts": 1})
    plan = [{"kind": "429_spend_rate", "match": "What is 4 plus", "times": 4}]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    result = job.run(faults=str(tmp_path / "plan.json"))
    assert result.exit_code is Exit.OK
    assert len(job.ledger()) == 14
    assert result.summary.elapsed_s > 600


@pytest.mark.parametrize(
    ("now", "reset"),
    [
        ("2026-11-22 13:00", "2026-11-23 08:00"),
        ("2026-11-23 07:59", "2026-11-23 08:00"),
        ("2026-11-23 08:00", "2026-11-24 08:00"),
        ("2026-07-01 06:59", "2026-07-01 07:00"),
        ("2026-03-08 09:00", "2026-03-09 07:00"),  # the night in which summer time begins
        ("2026-11-01 08:00", "2026-11-02 08:00"),  # and the one in which it ends
    ],
)
def test_a_day_ends_at_midnight_in_california(now: str, reset: str) -> None:
    assert next_midnight(unix(now)) == unix(reset)


def test_a_time_is_told_in_the_users_time_and_in_utc() -> None:
    assert told(unix("2026-11-23 08:00"), BERLIN) == "2026-11-23 09:00 CET (08:00 UTC)"
    assert told(unix("2026-07-01 23:30"), BERLIN) == "2026-07-02 01:30 CEST (2026-07-01 23:30 UTC)"
    assert told(unix("2026-11-23 08:00"), UTC) == "2026-11-23 08:00 UTC"


def test_advice_is_about_what_is_used_up() -> None:
    daily = ApiError("resource_exhausted", "no", ({"violations": [{"quotaId": "RequestsPerDayPerProject"}]},))
    assert "midnight Pacific" in advice(daily, EPOCH)
    assert "midnight" not in advice(ApiError("payment_required", "credits are depleted"), EPOCH)
