"""What is printed, whatever is in it."""

from __future__ import annotations

import json
from typing import Any

from batchrun.cli.printing import json_text


def nested(levels: int) -> Any:
    value: Any = "the middle"
    for _ in range(levels):
        value = [value]
    return value


def test_json_is_shown_whole_as_deep_as_it_can_be_indented() -> None:
    assert json.loads(json_text({"answer": nested(90)})) == {"answer": nested(90)}


def test_of_json_that_is_nested_too_deep_the_upper_levels_are_shown() -> None:
    shown = json.loads(json_text({"id": "one", "answer": nested(2_000)}))
    assert shown["id"] == "one"
    assert "[nested more than 100 levels deep]" in json.dumps(shown)
