"""JSON that Python would bend is refused; JSON that is JSON is not."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.spec.canonical import canonical_json, deeper_than, sha256_of
from batchrun.spec.reading.strict_json import JsonProblem, parse

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(TEXT, children, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"a": 1, "a": 2}', "duplicate_keys"),
        ('[{"b": {"a": 1, "a": 1}}]', "duplicate_keys"),
        ("NaN", "bad_number"),
        ("[-Infinity]", "bad_number"),
        ("1e999", "bad_number"),
        ("9" * 5000, "bad_number"),
        (r'"\ud800"', "lone_surrogate"),
        (r'{"\udfff": 1}', "lone_surrogate"),
        (r'"\ud83d\ude00 \ude00"', "lone_surrogate"),
        ("[" * 101 + "]" * 101, "too_deep"),
        ("[" * 100_000, "too_deep"),
        ("{'a': 1}", "bad_json"),
        ('{"a": 1,}', "bad_json"),
        ('{"a": 1} {"b": 2}', "bad_json"),
        ("", "bad_json"),
        ("\ufeff1", "bad_json"),
    ],
)
def test_what_is_refused_has_a_name(text: str, kind: str) -> None:
    with pytest.raises(JsonProblem) as caught:
        parse(text)
    assert caught.value.kind == kind


def test_a_problem_knows_its_character() -> None:
    with pytest.raises(JsonProblem) as caught:
        parse('{"a": 1,}')
    assert caught.value.position == 8


def test_a_hundred_levels_and_brackets_in_strings_are_fine() -> None:
    parse("[" * 100 + "]" * 100)
    assert parse(json.dumps("[{" * 200)) == "[{" * 200


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert parse(r'"\ud83d\ude00"') == "😀"


@given(VALUES)
def test_every_json_value_survives(value: object) -> None:
    assert parse(json.dumps(value)) == value
    assert parse(canonical_json(value).decode()) == value


@given(st.text() | st.text('[]{}",:\\u0123d8ftrue-eE.+ \n'))
def test_any_text_is_a_value_or_a_problem(text: str) -> None:
    with suppress(JsonProblem):
        canonical_json(parse(text))


@given(st.dictionaries(TEXT, VALUES))
def test_the_hash_does_not_depend_on_the_order_of_keys(value: dict[str, object]) -> None:
    assert sha256_of(value) == sha256_of(dict(reversed(value.items())))


def test_depth_counts_containers() -> None:
    assert not deeper_than(1, 0)
    assert deeper_than([], 0)
    assert not deeper_than([{"a": 1}], 2)
    assert deeper_than([{"a": []}], 2)
