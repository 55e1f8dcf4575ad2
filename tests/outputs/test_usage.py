from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batchrun.outputs.counts import counts_of, total_usage
from batchrun.store.records import AttemptState

from .factories import an_attempt, exported_usage

FULL = {
    "total_input_tokens": 7,
    "total_output_tokens": 20,
    "total_thought_tokens": 22,
    "total_cached_tokens": 0,
    "total_tokens": 49,
    "initial_input_tokens": 3,
    "input_tokens_by_modality": [{"modality": "text", "tokens": 5}, {"modality": "DOCUMENT", "tokens": 2}],
    "output_tokens_by_modality": [{"modality": "text", "tokens": 12}, {"modality": "text", "tokens": 8}],
    "grounding_tool_count": [{"type": "google_search", "count": 2}],
}


def test_every_count_has_its_column_and_what_is_missing_is_null(tmp_path: Path) -> None:
    (record,) = exported_usage(tmp_path, an_attempt(usage=FULL))
    counts = {name: value for name, value in record.items() if name.endswith(("_tokens", "_count"))}
    assert {name: value for name, value in counts.items() if value is not None} == {
        "total_input_tokens": 7,
        "total_output_tokens": 20,
        "total_thought_tokens": 22,
        "total_cached_tokens": 0,
        "total_tokens": 49,
        "initial_input_tokens": 3,
        "input_text_tokens": 5,
        "input_document_tokens": 2,
        "output_text_tokens": 20,
        "google_search_count": 2,
    }
    assert len(counts) == 7 + 4 * 5 + 3


def test_the_columns_about_the_attempt_are_filled(tmp_path: Path) -> None:
    (record,) = exported_usage(tmp_path, an_attempt(number=2, exchange=3, turn=1, superseded_at=1_700_000_009.0))
    about = ("key", "attempt", "stage", "exchange", "turn", "state", "evidence", "billed", "posts", "superseded")
    assert [record[name] for name in about] == ["a", 2, "main", 3, 1, "fetched", "S", True, 1, True]
    assert record["fetched_at"] == datetime(2023, 11, 14, 22, 13, 23, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "interaction_id", "billed"),
    [
        (AttemptState.FETCHED, "v1_abc", True),
        (AttemptState.REFUSED, None, False),
        (AttemptState.NOT_SENT, None, False),
        (AttemptState.AMBIGUOUS, None, None),
        (AttemptState.INTENT, None, None),
    ],
)
def test_billed_is_yes_no_or_unknown(
    tmp_path: Path, state: AttemptState, interaction_id: str | None, billed: bool | None
) -> None:
    (record,) = exported_usage(tmp_path, an_attempt(state=state, interaction_id=interaction_id))
    assert record["billed"] is billed


@pytest.mark.parametrize("odd", ["7", True, 7.0, -1, 2**63, None, [7], {"tokens": 7}])
def test_what_is_no_count_is_null_and_survives_in_the_raw_usage(tmp_path: Path, odd: object) -> None:
    usage = {"total_tokens": odd, "input_tokens_by_modality": [{"modality": "text", "tokens": odd}, odd]}
    (record,) = exported_usage(tmp_path, an_attempt(usage=usage))
    assert (record["total_tokens"], record["input_text_tokens"]) == (None, None)
    assert json.loads(record["usage_json"]) == usage


def test_counters_without_a_column_survive_in_the_raw_usage(tmp_path: Path) -> None:
    usage = {"total_smell_tokens": 3, "input_tokens_by_modality": [{"modality": "smell", "tokens": 3}]}
    (record,) = exported_usage(tmp_path, an_attempt(usage=usage))
    assert json.loads(record["usage_json"]) == usage
    assert counts_of(usage) == {"input_smell_tokens": 3}


def test_an_attempt_without_usage_has_no_count_at_all(tmp_path: Path) -> None:
    (record,) = exported_usage(tmp_path, an_attempt(usage=None))
    assert record["usage_json"] is None
    assert not any(value is not None for name, value in record.items() if name.endswith("_tokens"))


def test_usage_nested_too_deep_to_be_real_does_not_stop_the_export(tmp_path: Path) -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"x": deep}
    (record,) = exported_usage(tmp_path, an_attempt(usage={"total_tokens": 5, "deep": deep}))
    assert (record["total_tokens"], record["usage_json"]) == (5, None)


def test_totals_add_what_is_known_and_count_what_is_not() -> None:
    attempts = [
        an_attempt(usage={"total_tokens": 5, "total_input_tokens": 2}),
        an_attempt(usage={"total_tokens": 7}),
        an_attempt(usage=None),
        an_attempt(usage=None, interaction_id=None, state=AttemptState.AMBIGUOUS),
        an_attempt(usage=None, interaction_id=None, state=AttemptState.REFUSED),
        an_attempt(usage=None, state=AttemptState.SUBMITTED),
    ]
    totals = total_usage(attempts)
    assert (totals["total_tokens"], totals["total_input_tokens"], totals["total_cached_tokens"]) == (12, 2, None)
    assert totals["attempts_without_usage"] == 2
