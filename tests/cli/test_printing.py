"""What is printed, whatever is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from batchrun.cli.printing import json_text
from batchrun.errors import Exit
from tests.processes import command, write_job


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
    assert "[nested too deep to be shown]" in json.dumps(shown)


def test_an_answer_that_is_nested_too_deep_is_shown_all_the_same(tmp_path: Path) -> None:
    write_job(tmp_path, 1)
    call = {"type": "function_call", "id": "one", "name": "look", "arguments": {"word": nested(600)}}
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps({"steps": [call], "status": "requires_action"}) + "\n")
    emulated = ("--emulator", "--latency", "0ms", "--replies", f"script:{script}")
    assert command(tmp_path, "run", "job.json", *emulated)[0] == Exit.SOME_ROWS_FAILED
    code, out, err = command(tmp_path, "show", "job.json", "r0", "--emulator")
    assert code == 0, err
    assert "[nested too deep to be shown]" in out
