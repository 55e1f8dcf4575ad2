from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.outputs.answers import MAX_DEPTH, AnswerError, parse_answer

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_every_json_value_is_parsed_to_itself(value: object) -> None:
    assert parse_answer(json.dumps(value)) == value


@given(st.text() | st.text(alphabet='[]{}",:0123456789.eE-+ tfn\\u'))
def test_any_text_either_parses_or_raises_answer_error_and_nothing_else(text: str) -> None:
    with contextlib.suppress(AnswerError):
        parse_answer(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ('```json\n{"a": 1}\n```', "not JSON"),
        ('{"a": 1} as you asked', "not JSON"),
        ('{"a": NaN}', "NaN"),
        ("[-Infinity]", "-Infinity"),
        ("1e999", "range of a double"),
        ("9" * 5000, "not JSON"),
        ('{"a": 1, "a": 2}', "'a' twice"),
        ("[" * 100_000, "levels deep"),
        ('{"a":' * 200 + "1" + "}" * 200, "levels deep"),
    ],
)
def test_what_is_not_strictly_json_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(AnswerError, match=reason):
        parse_answer(text)


def test_the_deepest_answer_accepted_is_max_depth_levels() -> None:
    parse_answer("[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH)
    with pytest.raises(AnswerError):
        parse_answer("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


def test_many_shallow_brackets_are_not_deep() -> None:
    assert len(parse_answer("[" + ",".join(["[]"] * 1000) + "]")) == 1000  # type: ignore[arg-type]


def test_lone_surrogates_and_nul_in_strings_are_kept() -> None:
    assert parse_answer(r'"\ud800 \u0000"') == "\ud800 \0"
