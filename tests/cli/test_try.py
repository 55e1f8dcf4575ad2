"""`batchrun try`: one row, printed as it comes, and kept."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from batchrun.cli import commands
from batchrun.emulator import read_ledger
from batchrun.errors import Exit
from batchrun.outputs.citations import citations_of
from batchrun.outputs.history import History
from batchrun.store.reader import Reader
from tests.processes import emulator, finish, ledger, start

WEATHER = (
    'def get_weather(city: str) -> dict:\n    """Tells the weather."""\n    return {"city": city, "degrees": 20}\n'
)


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write_job(**request: Any) -> None:
    request = {"model": "gemini-3.5-flash", "input": "Get the weather in {{ city }}.", **request}
    Path("job.json").write_text(
        json.dumps({"name": "job", "input": {"path": "rows.jsonl", "key": "id"}, "request": request})
    )
    rows = [{"id": "a", "city": "Paris"}, {"id": "b", "city": "تهران"}, {"id": "c"}]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("weather.py").write_text(WEATHER)


def attempt(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(
        commands, ["try", "job.json", "--emulator", "--latency", "0ms", "--set", "poll.first=0", *arguments]
    )
    assert result.exit_code == code, result.output
    return result


def tries() -> list[Path]:
    return sorted(Path("runs/job.emulated.tries").iterdir())


@pytest.mark.parametrize("options", [(), ("--stream",)])
def test_the_answer_is_printed_with_what_led_to_it_and_what_it_costs(options: tuple[str, ...]) -> None:
    write_job(functions="weather")
    result = attempt(*options)
    assert "get_weather answered" in result.stdout
    assert 'get_weather({"city": "Paris"})' in result.stderr
    assert 'get_weather gave: {"city": "Paris", "degrees": 20}' in result.stderr
    assert "2 interactions, tokens: input" in result.stderr
    assert "would cost: $0.00" in result.stderr
    assert "get_weather(" not in result.stdout


def test_a_stream_and_its_absence_print_the_same_answer() -> None:
    write_job()
    assert attempt("--stream").stdout == attempt().stdout


def test_each_try_is_sent_anew_and_kept_beside_the_runs() -> None:
    write_job()
    attempt()
    attempt("--row", "b", "--stream")
    first, second = tries()
    assert [len(read_ledger(each / "emulator.ledger.jsonl")) for each in (first, second)] == [1, 1]
    with Reader(second / "run.db") as reader:
        row = reader.row("b")
    assert row is not None
    assert row.outcome == "succeeded"


def test_a_program_gets_one_json_document() -> None:
    write_job()
    told = json.loads(attempt("--json", "--stream", "--row", "b").stdout)
    assert (told["key"], told["outcome"]) == ("b", "succeeded")
    (only,) = told["interactions"]
    assert told["text"] == "".join(block["text"] for block in only["steps"][-1]["content"])
    assert (only["exchange"], only["state"], only["status"]) == (0, "fetched", "completed")


def test_the_document_tells_which_interaction_took_which_steps_and_what_all_cost_together() -> None:
    write_job(functions="weather")
    told = json.loads(attempt("--json").stdout)
    first, second = told["interactions"]
    assert [each["exchange"] for each in (first, second)] == [0, 1]
    assert [each["status"] for each in (first, second)] == ["requires_action", "completed"]
    assert first["steps"][-1]["type"] == "function_call"
    assert second["steps"][-1]["type"] == "model_output"
    assert told["cost_usd"] == pytest.approx(first["cost_usd"] + second["cost_usd"])
    assert told["cost_usd"] > 0
    inputs = [each["usage"]["total_input_tokens"] for each in (first, second)]
    assert told["usage"]["total_input_tokens"] == sum(inputs)
    assert told["not_priced"] == []


def test_a_cost_that_is_not_known_is_null_and_said_to_be_missing() -> None:
    write_job(model="gemini-made-up")
    told = json.loads(attempt("--json").stdout)
    assert told["cost_usd"] is None
    assert told["interactions"][0]["cost_usd"] is None
    assert told["not_priced"] == ["1 interaction without a known price or usage"]


@pytest.mark.parametrize("options", [(), ("--stream",)])
def test_each_turn_is_answered_on_a_line_of_its_own(options: tuple[str, ...]) -> None:
    write_job(input=None, turns=["Greet {{ city }}.", "And now?"])
    first, second = attempt(*options).stdout.splitlines()
    assert first.startswith("[emulated]")
    assert second.startswith("[emulated]")


def test_a_function_is_called_before_it_gives_something() -> None:
    write_job(functions="weather")
    lines = [line for line in attempt().stderr.splitlines() if line.startswith("get_weather")]
    assert [line.partition("get_weather")[2][:5] for line in lines] == ['({"ci', " gave"]


@pytest.mark.parametrize("options", [(), ("--stream",)])
def test_a_search_is_told_by_its_queries_and_its_citations_in_characters(options: tuple[str, ...]) -> None:
    write_job(tools=["google_search"], input="در {{ city }} چه خبر است؟")
    result = attempt("--row", "b", *options)
    assert "google_search: “در تهران چه خبر است؟”" in result.stderr
    assert "<" not in result.stderr
    with Reader(tries()[-1] / "run.db") as reader:
        row = reader.row("b")
    assert row is not None
    citations = list(citations_of(History.of(row)))
    assert citations
    for citation in citations:
        start, end = citation.in_text
        assert start is not None
        assert result.stdout[start:end] == citation.text
        assert f"  {start}-{end} “" in result.stderr
        assert citation.annotation["url"] in result.stderr
    assert "start_index" not in result.stderr


def test_a_row_that_is_not_there_is_said_before_anything_is_sent() -> None:
    write_job()
    result = attempt("--row", "z", code=Exit.BAD_INPUT)
    assert "there is no row with the key 'z'" in result.stderr
    assert not Path("runs").exists()


def test_what_is_wrong_with_the_row_or_its_answer_is_said() -> None:
    write_job()
    assert "failed: template_error" in attempt("--row", "c", code=Exit.SOME_ROWS_FAILED).stderr
    write_job(
        response_format={"schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}
    )
    result = attempt("--stream", "--faults", "schema_violation", code=Exit.SOME_ROWS_FAILED)
    assert "invalid_output: schema_mismatch" in result.stderr


@pytest.mark.parametrize("fault", ["sse_cut=0.1s", "sse_truncated", "drop_during", "no_usage"])
def test_a_stream_that_is_cut_ends_in_the_same_answer_and_one_payment(fault: str) -> None:
    write_job()
    whole = attempt().stdout
    result = attempt("--stream", "--latency", "500ms", "--faults", fault)
    assert result.stdout == whole
    assert len(read_ledger(tries()[-1] / "emulator.ledger.jsonl")) == 1


def test_a_hostile_answer_cannot_move_the_cursor() -> None:
    write_job()
    Path("script.jsonl").write_text(json.dumps({"text": "red \x1b[31m and \u202e back"}) + "\n")
    result = attempt("--stream", "--replies", "script:script.jsonl")
    assert "\x1b" not in result.output
    assert "\u202e" not in result.output


@pytest.mark.parametrize("options", [(), ("--stream",)])
def test_hostile_citations_and_results_cannot_move_the_cursor_either(options: tuple[str, ...]) -> None:
    write_job(tools=["google_search"])
    evil = "\x1b]0;x\x07\u202e\r\n"
    note = {"type": "url_citation", "url": f"https://a/{evil}", "title": evil, "start_index": 0, "end_index": 4}
    steps = [
        {"type": "google_search_call", "id": "s", "arguments": {"queries": [evil]}},
        {"type": "google_search_result", "call_id": "s", "result": [{"search_suggestions": "<b>", "title": evil}]},
        {"type": "model_output", "content": [{"type": "text", "text": f"سل{evil}", "annotations": [note]}]},
    ]
    Path("script.jsonl").write_text(json.dumps({"steps": steps}) + "\n")
    result = attempt("--replies", "script:script.jsonl", *options)
    assert not {"\x1b", "\x07", "\u202e", "\r"} & set(result.output)
    assert "0-2 “سل”" in result.stderr
    assert "<b>" not in result.stderr


@pytest.mark.parametrize("options", [(), ("--stream",)])
def test_an_answer_that_is_continued_is_one_text(tmp_path: Path, options: tuple[str, ...]) -> None:
    write_job(store=False)
    with emulator(tmp_path, "--latency", "0s") as address:
        whole = finish(start(tmp_path, "try", "job.json", "--base-url", address))[1]
    with emulator(tmp_path, "--latency", "0s", "--decode-limit", "7") as address:
        code, pieces, said = finish(start(tmp_path, "try", "job.json", *options, "--base-url", address))
    assert (code, pieces) == (0, whole)
    assert said.count("\nv1_") > 2


def test_it_prints_while_the_model_speaks_and_ctrl_c_keeps_the_id(tmp_path: Path) -> None:
    write_job()
    with emulator(tmp_path, "--latency", "300s") as address:
        process = start(tmp_path, "try", "job.json", "--stream", "--base-url", address)
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("v1_")
        process.send_signal(signal.SIGINT)
        code, _, _ = finish(process, 20)  # the answer takes 300 s
    assert code == Exit.SIGINT
    assert [entry["id"] for entry in ledger(tmp_path)] == [line.strip()]
