"""The commands, as a user types them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from batchrun.cli import commands
from batchrun.errors import Exit
from batchrun.runs.directory import RunDir
from batchrun.runs.preflight import output_directory
from batchrun.spec.load import load_job
from tests.processes import command, write_job

FAST = ("--latency", "0ms", "--set", "poll.first=0")


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of one's own, and no key in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def batchrun(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(commands, list(arguments))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def rehearse(*arguments: str, code: int = 0) -> Result:
    return batchrun("run", *arguments, "--emulator", *FAST, code=code)


def job(rows: list[Any], **sections: Any) -> str:
    spec = {
        "name": "job",
        "input": {"path": "rows.jsonl", "key": "id"},
        "request": {"model": "gemini-3.5-flash", "input": "Say {{ word }}"},
        **sections,
    }
    Path("job.json").write_text(json.dumps(spec))
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    Path("rows.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return "job.json"


def words(count: int) -> list[dict[str, str]]:
    return [{"id": f"r{n}", "word": f"w{n}"} for n in range(count)]


def results() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table("runs/job.emulated/results.parquet").to_pylist()
    return found


def test_a_scaffolded_job_validates_plans_and_runs_as_it_is() -> None:
    batchrun("init", "hello")
    assert "No problems found" in batchrun("validate", "hello.yaml").stdout
    assert "2 to send" in batchrun("plan", "hello.yaml").stdout
    assert "2 rows: 2 succeeded" in rehearse("hello.yaml").stdout
    rows = pq.read_table("runs/hello.emulated/results.parquet").to_pylist()
    assert {row["sentiment"] for row in rows} <= {"positive", "neutral", "negative"}


def old_setting() -> str:
    asked = {"model": "gemini-3.5-flash", "input": "Say {{ word }}", "generation_config": {"top_p": 0.5}}
    return job(words(2), request=asked)


def test_a_setting_that_the_service_may_ignore_is_a_warning_and_strict_makes_it_a_problem() -> None:
    checked = batchrun("validate", old_setting()).stdout
    assert "  warning: job.json:1: request.generation_config.top_p: deprecated" in checked
    assert "No problems found, 1 warning." in checked
    strict = batchrun("validate", "job.json", "--strict", code=Exit.BAD_INPUT).stdout
    assert "request.generation_config.top_p" in strict
    assert "No problems found" not in strict


def test_a_column_for_requests_that_no_row_has_is_a_warning() -> None:
    asked = {"model": "gemini-3.5-flash", "input": "Say {{ word }}"}
    checked = batchrun("validate", job(words(2), request={**asked, "column": "wrod"})).stdout
    assert "warning: job.json: request.column: no row has the column 'wrod'; did you mean 'word'?" in checked
    batchrun("validate", "job.json", "--strict", code=Exit.BAD_INPUT)
    rows = [*words(1), {"id": "own", "word": "a", "asked": {"input": "b"}}]
    assert "No problems found." in batchrun("validate", job(rows, request={**asked, "column": "asked"})).stdout


def test_plan_and_run_warn_once_and_go_on() -> None:
    planned = batchrun("plan", old_setting(), "--json")
    assert planned.stderr.count("warning: job.json:1: request.generation_config.top_p") == 1
    assert json.loads(planned.stdout)["to_send"] == 2
    done = rehearse("job.json")
    assert done.stderr.count("warning: ") == 1
    assert "2 rows: 2 succeeded" in done.stdout
    assert rehearse("job.json", "--quiet").stderr == ""


def test_nothing_is_sent_of_a_job_that_the_service_would_refuse() -> None:
    job(words(2))
    refused = rehearse("job.json", "--set", "request.generation_config={top_k: 4}", code=Exit.BAD_INPUT)
    assert (
        "--set request.generation_config: the service has no such setting; it is not part of this API" in refused.stderr
    )
    assert not Path("runs").exists()


def test_init_never_overwrites_and_refuses_names_that_are_paths() -> None:
    batchrun("init", "hello")
    assert "already there" in batchrun("init", "hello", code=65).stderr
    assert "no job name" in batchrun("init", "../hello", code=65).stderr


def test_the_second_run_says_that_there_is_nothing_to_do() -> None:
    rehearse(job(words(3)))
    again = rehearse("job.json")
    assert again.stdout.startswith("Nothing to do: all 3 rows")


def test_json_prints_the_summary_alone() -> None:
    summary = json.loads(rehearse(job(words(3)), "--json").stdout)
    assert {"run_id", "rows", "succeeded", "pending", "posts", "posts_this_run", "polls", "usage", "outputs"} <= set(
        summary
    )
    assert (summary["rows"], summary["succeeded"], summary["posts"]) == (3, 3, 3)
    assert summary == {**json.loads(Path("runs/job.emulated/run.json").read_text()), "elapsed_s": summary["elapsed_s"]}


def test_status_shows_totals_for_a_job_file_and_for_a_run_directory() -> None:
    rehearse(job(words(3)))
    assert "3 rows: 3 succeeded" in batchrun("status", "job.json").stdout
    assert json.loads(batchrun("status", "runs/job.emulated", "--json").stdout)["succeeded"] == 3
    assert "nothing has been run here" in batchrun("status", job([], name="other"), code=65).stderr


def test_show_tells_everything_about_a_row() -> None:
    rehearse(job(words(2)))
    row = json.loads(batchrun("show", "job.json", "r1").stdout)
    assert row["request"]["input"] == "Say w1"
    assert row["outcome"] == "succeeded"
    assert row["request_differs_from_the_one_sent"] is False
    assert (row["exchanges"], row["attempts"][0]["exchange"], row["attempts"][0]["turn"]) == (1, 0, 0)
    assert row["attempts"][0]["answer"]["status"] == "completed"
    assert row["attempts"][0]["billed"] is True
    assert "no row has the key" in batchrun("show", "job.json", "r9", code=65).stderr


def test_failed_rows_can_be_sent_again() -> None:
    failing = rehearse(job(words(5)), "--faults", "failed:#2", code=Exit.SOME_ROWS_FAILED)
    assert "4 succeeded, 1 failed" in failing.stdout
    assert "1 row pending again; what failed is sent, and billed, anew" in batchrun("retry", "job.json").stdout
    assert "5 rows: 5 succeeded" in rehearse("job.json").stdout
    assert batchrun("retry", "job.json").stdout.splitlines() == [
        "Nothing was made pending again.",
        "  5 rows succeeded",
    ]


def test_a_limit_in_money_says_what_to_do_and_not_to_do_the_same_again() -> None:
    name = job(words(40), limits={"max_cost": 0.6})
    said = rehearse(name, code=Exit.TRY_LATER)
    assert "Rows stay pending; raise it, or lower" in said.stderr
    assert "Go on with" not in said.stdout


def test_retry_says_of_each_row_it_was_asked_for_why_it_is_left_alone_and_what_to_do() -> None:
    rehearse(job([*words(3), b"{"], retry={"ambiguous": {"model": "hold"}}), "--faults", "drop_after:#2", code=4)
    said = batchrun("retry", "job.json", "--failed", *(f"--key=r{n}" for n in (0, 1))).stdout.splitlines()
    assert said[1:] == [
        "  row r0: succeeded",
        "  row r1: ambiguous: sent again only with --ambiguous",
    ]
    unknown = batchrun("retry", "job.json", "--key=r0", "--key=r7", code=Exit.BAD_INPUT)
    assert "no row has the key 'r7'" in unknown.stderr
    assert batchrun("retry", "job.json").stdout.splitlines()[1:] == [
        "  2 rows succeeded",
        "  1 row ambiguous: sent again only with --ambiguous",
        "  1 row failed before being sent: mend the input, then run again",
    ]


def test_one_row_is_counted_as_one() -> None:
    assert "job.json: 1 row read, 1 rendered; nothing was sent" in batchrun("validate", job(words(1))).stdout
    assert "from 1 rendered row\n" in batchrun("plan", "job.json").stdout


def test_held_rows_are_sent_again_only_when_asked_for_by_name() -> None:
    name = job(words(5), retry={"ambiguous": {"model": "hold"}})
    held = rehearse(name, "--faults", "drop_after:#2", code=Exit.ROWS_HELD)
    assert "1 row held" in held.stdout
    assert "1 row ambiguous: sent again only with --ambiguous" in batchrun("retry", name).stdout
    batchrun("retry", name, "--ambiguous")
    assert "perhaps billed twice" in rehearse(name).stdout


def test_export_makes_the_same_files_again() -> None:
    rehearse(job(words(5)))
    path = Path("runs/job.emulated/results.parquet")
    before = path.read_bytes()
    path.unlink()
    batchrun("export", "job.json")
    assert path.read_bytes() == before


def test_plan_says_what_is_reused_and_what_would_be_sent() -> None:
    rehearse(job(words(3)))
    job([*words(3), {"id": "new", "word": "x"}, b"{broken"])
    plan = json.loads(batchrun("plan", "job.json", "--emulator", "--show", "1", "--json").stdout)
    assert plan["to_send"] == 1
    assert plan["standing"] == {"succeeded": 3, "new": 1, "unreadable": 1}
    (shown,) = plan["requests"]
    assert (shown["key"], shown["exchange"], shown["request"]["input"]) == ("new", 0, "Say x")


def test_validate_finds_what_is_wrong_with_rows_before_anything_is_sent() -> None:
    found = batchrun("validate", job([*words(1), {"id": "b"}, b"\xff", {"id": "r0", "word": "x"}]), code=65)
    assert "(template_error)" in found.stdout
    assert "(bad_utf8)" in found.stdout
    assert "rows.jsonl:4: key 'r0' is already used" in found.stdout


def test_bad_rows_fail_the_others_run_and_nothing_is_billed_for_them() -> None:
    bad = [b"{", b"\xff\xfe", b'{"id":"a","id":"b"}', b"[]", b'{"id":"n","word":NaN}', {"id": "t"}, {"word": "no key"}]
    run = rehearse(job([*bad, *words(2)]), "--json", code=Exit.SOME_ROWS_FAILED)
    summary = json.loads(run.stdout)
    assert (summary["rows"], summary["succeeded"], summary["failed"], summary["posts"]) == (9, 2, 7, 2)
    kinds = [row["error_class"] for row in results()][:7]
    assert kinds == [
        "bad_json", "bad_utf8", "duplicate_keys", "not_an_object", "bad_number", "template_error", "bad_key",
    ]  # fmt: skip
    assert all("rows.jsonl:" in row["source"] for row in results())


def test_a_row_that_is_mended_runs_and_the_bad_one_is_forgotten() -> None:
    rehearse(job([*words(1), b"{"]), code=Exit.SOME_ROWS_FAILED)
    assert "2 rows: 2 succeeded" in rehearse(job(words(2))).stdout


def test_a_missing_document_fails_its_row_only() -> None:
    Path("a.pdf").write_bytes(b"%PDF-1.4\n1 0 obj<</Type/Page>>endobj\n")
    part = {"type": "document", "path": "{{ word }}"}
    name = job(
        [{"id": "1", "word": "a.pdf"}, {"id": "2", "word": "b.pdf"}, {"id": "3", "word": "../../etc/passwd"}],
        request={"model": "gemini-3.5-flash", "input": [{"type": "text", "text": "Read"}, part]},
    )
    rehearse(name, code=Exit.SOME_ROWS_FAILED)
    assert [row["error_class"] for row in results()][1:] == ["media_missing", "media_forbidden"]


@pytest.mark.parametrize(
    ("spec", "words_expected"),
    [
        ("name: x\ninput: {path: a.jsonl}\nrequets: {}\n", ["job.yaml:3", "requets", "request"]),
        ("name: x\nname: y\n", ["job.yaml:2", "name"]),
        ("name: [", ["job.yaml:1"]),
        ("name: x\ninput: Hello: you\n", ["job.yaml:2", "quotes"]),
        ("name: x\ninput:\n\tpath: y\n", ["job.yaml:3", "spaces"]),
        ("name: x\ninput: {path: a.jsonl}\nrequest:\n  model: m\n  input: {{ q }}\n", ["job.yaml:5", "in quotes"]),
        ("name: x\ninput: {path: none.jsonl}\nrequest: {model: m, input: hi}\n", ["none.jsonl"]),
        ("name: x\ninput: {path: a.jsonl}\nrequest: {model: m, input: '{{ a'}\n", ["job.yaml:3", "request.input"]),
        ("name: x\ninput: {path: a.jsonl}\nrequest: {model: m, input: hi, api_key: k}\n", ["job.yaml:3", "api_key"]),
        (
            "name: x\ninput: {path: a.jsonl}\nrequest: {model: m, input: hi, response_format: {schema: {type: 9}}}\n",
            ["schema"],
        ),
    ],
)
def test_a_wrong_job_file_is_explained_with_its_line_and_sends_nothing(spec: str, words_expected: list[str]) -> None:
    Path("job.yaml").write_text(spec)
    Path("a.jsonl").write_text("{}\n")
    message = rehearse("job.yaml", code=65).stderr
    assert all(word in message for word in words_expected), message
    assert list(Path().rglob("emulator.ledger.jsonl")) == []


def test_a_corrupt_parquet_input_is_an_error_of_the_file() -> None:
    Path("rows.parquet").write_bytes(b"PAR1" + b"\x00" * 100 + b"PAR1")
    name = job([], input={"path": "rows.parquet"})
    assert "rows.parquet" in rehearse(name, code=65).stderr


def test_without_a_key_nothing_is_sent_and_no_run_is_begun() -> None:
    message = batchrun("run", job(words(1)), code=Exit.CREDENTIALS).stderr
    assert "GEMINI_API_KEY" in message
    assert "--emulator" in message
    assert not Path("runs").exists()


def test_the_key_goes_over_https_or_stays_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "secret-canary")
    result = batchrun("run", job(words(1)), "--base-url", "http://example.com", code=65)
    assert "https" in result.stderr
    assert "secret-canary" not in result.output


def test_an_unreachable_service_stops_the_run_and_keeps_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    name = job(words(2), retry={"calls": 2, "first": "1ms"})
    result = batchrun("run", name, "--base-url", "http://127.0.0.1:1", code=Exit.TRY_LATER)
    assert "Cannot reach the service" in result.stderr
    assert "2 rows: 2 pending" in result.stdout
    assert "Go on with: " in result.stdout


def test_the_run_of_the_emulator_and_the_real_one_never_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearse(job(words(1)), "--run-dir", "here")
    result = batchrun("run", "job.json", "--base-url", "http://127.0.0.1:1", "--run-dir", "here", code=65)
    assert "another service" in result.stderr


def test_what_rows_and_servers_say_cannot_drive_the_terminal() -> None:
    evil = "\x1b]0;pwned\x07\u202e"
    result = rehearse(
        job([{"id": "a", "word": "x"}, {"id": "b"}], request={"model": f"m{evil}", "input": "{{ word }}"}), code=3
    )
    assert "\x1b" not in result.output
    assert "\u202e" not in result.output


def test_set_replaces_values_of_the_job_file() -> None:
    rehearse(job(words(2)), "--set", "request.input=Sing {{ word }}", "--set", "output.jsonl=true")
    assert Path("runs/job.emulated/results.jsonl").exists()
    shown = batchrun("show", "job.json", "r1", "--set", "request.input=Sing {{ word }}").stdout
    assert json.loads(shown)["request"]["input"] == "Sing w1"


def test_a_column_that_no_row_has_cannot_be_copied_into_the_results() -> None:
    assert "no row has the column 'wrod'" in rehearse(job(words(2), output={"columns": ["wrod"]}), code=65).stderr
    assert not list(Path().rglob("emulator.ledger.jsonl"))


def test_another_wish_about_outputs_is_granted_though_every_row_is_done() -> None:
    rehearse(job(words(2)))
    job(words(2), output={"columns": ["word"], "jsonl": True})
    assert rehearse("job.json").stdout.startswith("Nothing to do")
    assert Path("runs/job.emulated/results.jsonl").exists()
    assert [row["word"] for row in results()] == ["w0", "w1"]


def test_an_output_never_replaces_the_input() -> None:
    rehearse(job([*words(2), {"id": "bad"}]), code=3)
    again = ("--run-dir", "runs/job.emulated", "--set", "input.path=runs/job.emulated/failed.jsonl")
    for name in ("run.db", "run.json", "run.ledger"):
        Path("runs/job.emulated", name).unlink()
    assert "would be overwritten" in rehearse("job.json", *again, code=65).stderr
    assert Path("runs/job.emulated/failed.jsonl").read_text().startswith('{"id":"bad"')


def test_a_lost_checkpoint_is_not_taken_for_a_new_run() -> None:
    rehearse(job(words(2)))
    for file in Path("runs/job.emulated").glob("run.db*"):
        file.unlink()
    assert "paid again" in rehearse("job.json", code=Exit.DISK).stderr
    assert batchrun("recover", "job.json").stdout.splitlines() == [
        "2 rows: 2 interactions to fetch again, for free",
        "Go on with: batchrun run job.json --emulator",
    ]
    assert "2 POSTs (0 now)" in rehearse("job.json").stdout


def test_an_output_directory_that_cannot_be_written_is_found_before_anything_is_sent() -> None:
    Path("taken").write_text("a file")
    monkey = rehearse(job(words(2)), "--run-dir", "taken/below", code=65)
    assert "cannot make the run directory" in monkey.stderr


@pytest.mark.parametrize(
    "request_", [{"labels": ["a"]}, {"model": {"a": 1}}, {"model": 10**30}, {"system_instruction": 5}, {"input": 5}]
)
def test_a_row_with_a_request_that_is_none_fails_alone(request_: dict[str, Any]) -> None:
    rows = [{"id": "bad", "word": "x", "request": request_}, *words(3)]
    rehearse(job(rows), code=Exit.SOME_ROWS_FAILED)
    assert [row["status"] for row in results()] == ["failed", "succeeded", "succeeded", "succeeded"]


def test_another_key_column_is_another_run() -> None:
    rehearse(job([{"id": "a", "k": "b", "word": "x"}]))
    assert "another `input.key`" in rehearse("job.json", "--set", "input.key=k", code=65).stderr


def test_options_of_the_emulator_alone_are_an_error_lest_a_rehearsal_be_paid() -> None:
    idle = batchrun("run", job(words(1)), "--faults", "429", code=2)
    assert "--faults does nothing without --emulator" in idle.stderr
    assert "--base-url does nothing with" in rehearse("job.json", "--base-url", "http://127.0.0.1:1", code=2).stderr


def test_plan_and_validate_see_what_run_would_refuse() -> None:
    rehearse(job([*words(2), {"id": "x"}]), code=3)
    job([*words(2), {"id": "x", "word": "mended"}], output={"columns": ["wrod"]})
    assert "did you mean 'word'?" in batchrun("validate", "job.json", code=65).stdout
    plan = batchrun("plan", "job.json", "--emulator", "--set", "request.input=Sing {{ word }}", code=65).stdout
    assert "1  new" in plan
    assert 'request.input changed: "Say {{ word }}" → "Sing {{ word }}"' in plan
    assert "has changed since this run began: `run` refuses without --accept-change" in plan
    assert "rows: 0 the same, 1 new, 2 changed, 0 gone" in plan


def test_rows_that_were_never_sent_are_not_offered_to_be_paid_again() -> None:
    failing = rehearse(job([{"id": "x"}]), code=3).stdout
    assert "1 row failed before being sent" in failing
    assert "billed anew" not in failing
    assert "a file" not in failing, "no file was the cause"
    Path("unread.jsonl").write_text("no JSON\n")
    unreadable = rehearse(job([], name="unreadable", input={"path": "unread.jsonl"}), code=3).stdout
    assert "mend the input or the job and run again" in unreadable
    assert "a file" not in unreadable
    assert "the input has no rows" in rehearse(job([], name="empty")).stdout


def test_a_row_whose_file_was_mended_runs_after_what_the_run_advised() -> None:
    part = {"type": "document", "path": "{{ word }}.txt"}
    name = job(
        [{"id": "r0", "word": "a"}],
        request={"model": "gemini-3.5-flash", "input": [part, {"type": "text", "text": "Why?"}]},
    )
    said = rehearse(name, code=3).stdout
    Path("a.txt").write_text("Because.")
    assert "0 to send" in batchrun("plan", name, "--emulator").stdout
    (advice,) = (line for line in said.splitlines() if line.startswith("If you mend a file"))
    batchrun(*advice.partition(": batchrun ")[2].split())
    assert "1 row: 1 succeeded" in rehearse(name).stdout


def test_quiet_says_nothing_if_every_row_succeeded() -> None:
    assert rehearse(job(words(2)), "--quiet").output == ""


def test_every_option_can_be_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHRUN_RUN_EMULATOR", "1")
    result = CliRunner().invoke(commands, ["run", job(words(1)), *FAST], auto_envvar_prefix="BATCHRUN")
    assert result.exit_code == 0, result.output


def test_hints_name_the_same_run(tmp_path: Path) -> None:
    failing = rehearse(job(words(3)), "--run-dir", "some where", "--faults", "failed:#2", code=3)
    same = "job.json --set poll.first=0 --run-dir 'some where' --emulator"
    assert f"batchrun show {same} KEY" in failing.stdout
    assert f"batchrun retry {same}" in failing.stdout
    again = batchrun("retry", "job.json", "--set", "poll.first=0", "--run-dir", "some where")
    assert f"batchrun run {same}" in again.stdout


def test_standard_input_can_be_the_input() -> None:
    name = job([], input={"path": "-", "key": "id"})
    rows = "".join(json.dumps(row) + "\n" for row in words(3))
    result = CliRunner().invoke(commands, ["run", name, "--emulator", *FAST], input=rows)
    assert result.exit_code == 0, result.output
    assert "3 rows: 3 succeeded" in result.output


def test_the_schema_of_the_job_file_is_json_schema_that_accepts_a_job(tmp_path: Path) -> None:
    import jsonschema_rs

    validator = jsonschema_rs.validator_for(json.loads(batchrun("schema").stdout))
    spec = json.loads(Path(job(words(1))).read_text())
    assert validator.is_valid(spec)
    assert not validator.is_valid({**spec, "requets": {}})


def test_version_and_help_import_nothing_heavy() -> None:
    heavy = {"pyarrow", "httpx", "aiohttp", "pydantic", "asyncio", "sqlite_utils", "rich", "importlib.resources"}
    code = f"import sys; from batchrun.cli import commands; print(sorted(set(sys.modules) & {heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.strip() == "[]"


def test_a_rehearsal_takes_the_services_own_steps_with_their_signatures() -> None:
    steps = [
        {"type": "user_input", "content": "Say w0"},
        {"type": "thought", "signature": "c2lnbmVkIGJ5IHRoZSBzZXJ2aWNl"},
        {"type": "model_output", "content": "w0"},
        {"type": "user_input", "content": "Again"},
    ]
    done = rehearse(job([{"id": "r0", "word": "w0", "request": {"input": steps}}]))
    assert "1 succeeded" in done.stdout


def test_an_edited_job_is_refused_with_what_it_would_cost_and_accepted_with_an_option() -> None:
    rehearse(job(words(3)))
    job([{"id": "r0", "word": "other"}, *words(3)[1:2]])
    said = rehearse("job.json", code=Exit.BAD_INPUT).stderr
    assert "rows: 1 the same, 0 new, 1 changed, 1 gone" in said
    assert "changed: row 'r0' (rows.jsonl:1): its 'word'" in said
    assert "gone: row 'r2' (was rows.jsonl:3)" in said
    found = json.loads(batchrun("plan", "job.json", "--emulator", "--json", code=Exit.BAD_INPUT).stdout)
    assert (found["changes"]["changed"], found["changes"]["gone"]) == (1, 1)
    assert found["changes"]["replaced_cost_usd"] > 0
    done = rehearse("job.json", "--accept-change").stdout
    assert "job: 2 rows: 2 succeeded" in done
    assert "1 row left the input" in done
    assert "Nothing to do" in rehearse("job.json").stdout


@pytest.mark.parametrize("place", ["https://127.0.0.1:1/?key={}", "https://{}@127.0.0.1:1", "https://127.0.0.1:1/#{}"])
def test_an_address_with_a_key_in_it_is_refused_and_not_repeated(tmp_path: Path, place: str) -> None:
    write_job(tmp_path, rows=1)
    code, out, err = command(tmp_path, "run", "job.json", "--base-url", place.format("secret-canary"))
    assert (code, "but no user, no query and no fragment" in err) == (Exit.BAD_INPUT, True)
    assert "secret-canary" not in out + err
    assert not (tmp_path / "runs").exists()


def test_paths_and_labels_that_are_shown_are_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job(words(1), output={"dir": "../out", "jsonl": True})
    (tmp_path / "deep").mkdir()
    for name in ("job.json", "rows.jsonl"):
        (tmp_path / name).rename(tmp_path / "deep" / name)
    monkeypatch.chdir(tmp_path / "deep")
    said = rehearse("../deep/job.json").stdout + batchrun("export", "../deep/job.json").stdout
    assert f"results: {tmp_path}/deep/runs/job.emulated/results.jsonl" in said
    assert "_" not in "".join(line.partition(":")[0] for line in said.splitlines())
    assert "/../" not in said
    assert str(output_directory(load_job(Path("job.json")), RunDir(tmp_path), emulated=False)) == f"{tmp_path}/out"


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a service that is down."""
    monkeypatch.setenv("GEMINI_API_KEY", "of-no-worth-12345678")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"127.0.0.1:{closed.getsockname()[1]}"


def test_a_service_that_cannot_be_reached_is_told_in_words(nowhere: str) -> None:
    job(words(1), retry={"calls": 1})
    said = batchrun("run", "job.json", "--base-url", f"http://{nowhere}", code=75).stderr
    assert f"Cannot reach the service: no connection to {nowhere}: Connection refused" in said


@pytest.mark.parametrize("command", ["run", "try"])
def test_files_that_cannot_be_uploaded_are_told_of_while_that_is_tried_again(
    nowhere: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHRUN_STATE", str(tmp_path / "state"))
    part = {"type": "audio", "path": "sound.wav"}
    Path("sound.wav").write_bytes(b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0" + bytes(32))
    request = {"model": "gemini-3.5-flash", "input": [part], "inline_limit": 0}
    job(words(1), request=request, retry={"calls": 2, "first": 0})
    said = batchrun(command, "job.json", "--base-url", f"http://{nowhere}", code=75).stderr
    reason = f"no connection to {nowhere}: Connection refused"
    assert said.count(f"'sound.wav' is not uploaded yet: {reason}; the next try is in 0") == 1
    assert said.index("is not uploaded yet") < said.index(f"Cannot upload 'sound.wav': {reason}")
