"""The commands for after a run, as a user types them."""

from __future__ import annotations

import json
import os
import signal
from base64 import b64decode
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchrun.cli import commands
from batchrun.emulator import read_ledger
from batchrun.errors import Exit
from tests.processes import command, emulator, finish, ledger, start, write_job
from tests.test_kill import wait_for_posts, wait_until

from .test_commands import batchrun, job, rehearse, results, somewhere, words

__all__ = ["somewhere"]

PLANNING = {
    "agent": "deep-research-preview-04-2026",
    "input": "Research {{ word }}",
    "agent_config": {"type": "deep-research", "collaborative_planning": True},
    "approve": "hold",
}
PIXEL = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
SANDBOX = {"agent": "antigravity-preview-09-2026", "environment": "remote", "input": "Save primes to {{ word }}.csv"}


def statuses() -> list[str]:
    return [row["status"] for row in results()]


# -- approve -----------------------------------------------------------------------------------------------------------


def test_approve_lists_the_plans_that_wait_and_how_to_go_on() -> None:
    rehearse(job(words(2), request=PLANNING), code=Exit.ROWS_HELD)
    said = batchrun("approve", "job.json").stdout
    assert "row r0:\n  [emulated] Research plan" in said
    assert "2 plans to approve" in said
    assert "batchrun approve job.json --emulator --key KEY" in said
    assert [plan["key"] for plan in json.loads(batchrun("approve", "job.json", "--json").stdout)] == ["r0", "r1"]
    assert statuses() == ["awaiting_approval"] * 2


def test_an_approved_plan_is_carried_out_by_the_next_run_and_the_others_wait() -> None:
    rehearse(job(words(2), request=PLANNING), code=Exit.ROWS_HELD)
    said = batchrun("approve", "job.json", "--row", "r1").stdout
    assert "1 plan approved; nothing was sent" in said
    assert "batchrun run job.json --emulator" in said
    rehearse("job.json", code=Exit.ROWS_HELD)
    assert statuses() == ["awaiting_approval", "succeeded"]
    batchrun("approve", "job.json", "--all")
    said = batchrun("approve", "job.json", "--all", "--refine", "Shorter.").stdout
    assert said == "No plan waits for approval; nothing was recorded. What is approved cannot be taken back.\n"
    rehearse("job.json")
    assert "No plan waits" in batchrun("approve", "job.json").stdout


def test_what_a_plan_says_cannot_hide_or_move_the_cursor() -> None:
    rehearse(job([{"id": "r0", "word": "a\u202eb\x1b[2J"}], request=PLANNING), code=Exit.ROWS_HELD)
    for said in (batchrun("approve", "job.json").stdout, batchrun("approve", "job.json", "--json").stdout):
        assert "\x1b" not in said
        assert "\u202e" not in said
        assert "u202eb" in said


def test_a_plan_can_be_asked_for_anew() -> None:
    rehearse(job(words(1), request=PLANNING), code=Exit.ROWS_HELD)
    first = json.loads(batchrun("approve", "job.json", "--json").stdout)[0]["plan"]
    assert "1 plan to be made anew" in batchrun("approve", "job.json", "--all", "--refine", "Only books.").stdout
    rehearse("job.json", code=Exit.ROWS_HELD)
    second = json.loads(batchrun("approve", "job.json", "--json").stdout)[0]["plan"]
    assert "Only books." in second
    assert first != second


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--refine", "x"), Exit.USAGE, "which plans"),
        (("--all", "--refine", " "), Exit.USAGE, "needs a text"),
        (("--all", "--key", "r0"), Exit.USAGE, "not both"),
        (("--key", "nobody"), Exit.BAD_INPUT, "no row has the key 'nobody'"),
        (("--key", "r0", "--key", "nobody"), Exit.BAD_INPUT, "'nobody'"),
    ],
)
def test_a_word_that_is_unclear_is_not_recorded(arguments: tuple[str, ...], code: Exit, said: str) -> None:
    rehearse(job(words(1), request=PLANNING), code=Exit.ROWS_HELD)
    assert said in batchrun("approve", "job.json", *arguments, code=code).stderr
    assert "1 plan to approve" in batchrun("approve", "job.json").stdout


def test_a_row_that_does_not_wait_is_told_what_it_is() -> None:
    rehearse(job(words(1)))
    said = batchrun("approve", "job.json", "--key", "r0", code=Exit.BAD_INPUT).stderr
    assert "'r0' has no plan that waits for approval: it is succeeded" in said


# -- purge, download, cancel -------------------------------------------------------------------------------------------


def test_purge_asks_first_and_says_what_stays() -> None:
    rehearse(job(words(3)))
    code, said, asked = at_a_terminal("n", "purge", "job.json")
    assert (code, said) == (0, "Nothing was deleted.\n")
    assert "Delete 3 interactions of" in asked
    assert "uploaded" not in asked, "there are no files"
    nobody = CliRunner().invoke(commands, ["purge", "job.json"], input="y\n")
    assert nobody.exit_code == Exit.USAGE
    assert "Nobody is there to confirm that: say --yes. Nothing was deleted." in nobody.stderr
    done = batchrun("purge", "job.json", "--yes").stdout
    assert done.startswith("3 interactions deleted at the service, 0 already gone\n")
    assert "everything stays, media too" in done
    assert json.loads(batchrun("purge", "job.json", "--json").stdout)["deleted"] == 0
    assert json.loads(batchrun("show", "job.json", "r0").stdout)["attempts"][0]["purged_at"].endswith("UTC")


def at_a_terminal(answer: str, *arguments: str) -> tuple[int, str, str]:
    """Exit code and output of a command whose user types an answer."""
    ours, theirs = os.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        return finish(start(Path.cwd(), *arguments, stdin=theirs))
    finally:
        os.close(ours)
        os.close(theirs)


def test_purge_needs_a_run() -> None:
    assert "nothing has been run here" in batchrun("purge", job(words(1)), code=Exit.BAD_INPUT).stderr
    assert not Path("runs").exists()


def test_download_says_where_the_files_are() -> None:
    rehearse(job([{"id": "a/b", "word": "x"}, {"id": "r1", "word": "y"}], request=SANDBOX))
    said = batchrun("download", "job.json").stdout
    assert "row r1: 1 file written, 0 here already" in said
    assert (Path("runs/job.emulated/environments/r1/y.csv")).read_text().startswith("[2, 3, 5")
    found = json.loads(batchrun("download", "job.json", "*.csv", "--key", "r1", "--to", "out", "--json").stdout)
    assert [(row["key"], row["written"], row["directory"]) for row in found] == [("r1", ["y.csv"], "out/r1")]


def test_cancel_without_anything_in_flight_says_so() -> None:
    rehearse(job(words(1)))
    assert "Nothing to cancel" in batchrun("cancel", "job.json").stdout


def test_the_address_of_the_service_is_the_users_to_give() -> None:
    """A run directory from elsewhere must not decide where the API key goes."""
    rehearse(job(words(1)))
    for name in ("cancel", "download"):
        told = batchrun(name, "job.json", "--base-url", "https://other.example", code=Exit.BAD_INPUT)
        assert "was made on the emulator" in told.stderr


# -- over a socket -----------------------------------------------------------------------------------------------------


def test_a_run_is_stopped_cancelled_and_purged_over_a_socket(tmp_path: Path) -> None:
    write_job(tmp_path, 6)
    with emulator(tmp_path, "--latency", "1h") as url:
        run = start(tmp_path, "run", "job.json", "--base-url", url, "--quiet")
        wait_for_posts(tmp_path, 6)
        running = command(tmp_path, "cancel", "job.json", "--base-url", url)
        assert (running[0], "Stop it first" in running[2]) == (Exit.TRY_LATER, True)
        run.send_signal(signal.SIGINT)
        assert finish(run)[0] == Exit.SIGINT
        unnamed = command(tmp_path, "cancel", "job.json")
        assert (unnamed[0], f"--base-url {url}" in unnamed[2]) == (Exit.BAD_INPUT, True)
        code, out, _ = command(tmp_path, "cancel", "job.json", "--base-url", url, "--key", "r1")
        assert code == 0
        assert out.splitlines()[0] == "1 interaction asked to stop: 1 cancelled"
        assert "pending as before" not in out
        code, out, _ = command(tmp_path, "cancel", "job.json", "--base-url", url, "--json")
        assert (code, json.loads(out)["cancelled"]) == (0, 5)
        code, out, _ = command(tmp_path, "purge", "job.json", "--base-url", url, "--yes", "--json")
        assert (code, json.loads(out)["deleted"]) == (0, 6)
    assert len(ledger(tmp_path)) == 6


def test_a_purge_that_is_killed_is_finished_by_the_next(tmp_path: Path) -> None:
    write_job(tmp_path, 200, poll={"first": "0ms", "rpm": 1200})
    with emulator(tmp_path, "--latency", "0ms") as url:
        assert command(tmp_path, "run", "job.json", "--base-url", url, "--quiet")[0] == 0
        purge = start(tmp_path, "purge", "job.json", "--base-url", url, "--yes")
        wait_until(lambda: purged(tmp_path) > 20)
        purge.kill()
        assert finish(purge)[0] == -signal.SIGKILL
        before = purged(tmp_path)
        assert 20 < before < 200
        done = json.loads(command(tmp_path, "purge", "job.json", "--base-url", url, "--yes", "--json")[1])
    assert done["deleted"] + done["gone"] == 200 - before
    assert purged(tmp_path) == 200


def purged(where: Path) -> int:
    from batchrun.store.reader import Reader

    with Reader(where / "runs" / "job" / "run.db") as reader:
        return reader.count_purged()


def test_files_of_environments_are_fetched_over_a_socket(tmp_path: Path) -> None:
    write_job(tmp_path, 3, request=SANDBOX)
    with emulator(tmp_path, "--latency", "0ms") as url:
        assert command(tmp_path, "run", "job.json", "--base-url", url, "--quiet")[0] == 0
        code, out, err = command(tmp_path, "download", "job.json", "--base-url", url)
        assert (code, out.count("1 file written")) == (0, 3), err
    assert (tmp_path / "runs/job/environments/r2/word2.csv").read_text().startswith("[2, 3, 5")


@pytest.mark.parametrize("keep", [True, False])
def test_purge_deletes_the_files_that_were_uploaded_for_the_run(keep: bool) -> None:
    Path("scan.png").write_bytes(PIXEL)
    part = {"type": "image", "path": "scan.png"}
    request = {"model": "gemini-3.5-flash", "input": [part, {"type": "text", "text": "{{ id }}"}], "inline_limit": 0}
    spec = {"name": "job", "input": {"path": "rows.jsonl", "key": "id"}, "request": request}
    Path("job.json").write_text(json.dumps(spec))
    Path("rows.jsonl").write_text('{"id": "a"}\n{"id": "b"}\n')
    batchrun("run", "job.json", "--emulator", "--latency", "0ms", "--set", "poll.first=0")
    (uploaded,) = json.loads(batchrun("files", "list", "--run-dir", "runs/job.emulated", "--json").stdout)
    assert uploaded["file"] == "scan.png"
    said = batchrun("purge", "job.json", "--emulator", "--yes", *(["--keep-files"] if keep else [])).stdout
    assert ("1 uploaded file deleted there, too\n" in said) is not keep
    left = json.loads(batchrun("files", "list", "--run-dir", "runs/job.emulated", "--json").stdout)
    assert [each["name"] for each in left] == ([uploaded["name"]] if keep else [])
    again = batchrun("purge", "job.json", "--emulator", code=Exit.USAGE if keep else Exit.OK)
    assert ("Delete 0 interactions and 1 uploaded file of" in again.stderr) is keep, "files alone are asked about, too"
    assert "0 interactions deleted" in batchrun("purge", "job.json", "--emulator", "--keep-files").stdout


# -- resolve -----------------------------------------------------------------------------------------------------------

HELD = ("--faults", "drop_after:#1", "--set", "retry.ambiguous.model=hold", "--set", "limits.posts=1")


def test_resolve_lists_posts_in_doubt_and_says_how_to_go_on() -> None:
    rehearse(job(words(2)), *HELD, code=Exit.ROWS_HELD)
    said = batchrun("resolve", "job.json").stdout
    assert "row r0: br1-" in said
    assert "1 POST in doubt; if all were billed, about $" in said
    assert "batchrun resolve job.json --emulator KEY --lost" in said
    (listed,) = json.loads(batchrun("resolve", "job.json", "--json").stdout)
    assert (listed["key"], listed["held"]) == ("r0", True)
    assert "given up" in batchrun("resolve", "job.json", "r0", "--lost").stdout
    assert batchrun("resolve", "job.json").stdout == "No POST is in doubt.\n"


def test_resolve_takes_the_id_that_carries_the_rows_label() -> None:
    rehearse(job(words(1)), *HELD, code=Exit.ROWS_HELD)
    name = read_ledger(Path("runs/job.emulated/emulator.ledger.jsonl"))[0]["id"]
    assert f"{name} is its interaction (completed)" in batchrun("resolve", "job.json", "r0", "--id", name).stdout
    rehearse("job.json")
    assert len(read_ledger(Path("runs/job.emulated/emulator.ledger.jsonl"))) == 1


def test_resolve_sends_again_what_the_user_wants_sent_again() -> None:
    rehearse(job(words(1)), *HELD, code=Exit.ROWS_HELD)
    said = batchrun("resolve", "job.json", "r0", "--resubmit").stdout
    assert "perhaps billed twice; nothing was sent yet" in said
    assert "batchrun run job.json --emulator" in said
    assert "perhaps billed twice; `batchrun resolve` names them" in rehearse("job.json").stdout
    said = batchrun("resolve", "job.json").stdout.splitlines()
    assert said[0].startswith("row r0: br1-")
    assert said[0].endswith(", sent again")
    assert said[2].startswith("1 POST of unknown fate sent again; if all were billed, about $0.0")
    assert said[3:] == ["No POST waits for a decision of yours."]
    (listed,) = json.loads(batchrun("resolve", "job.json", "--json").stdout)
    assert (listed["key"], listed["sent_again"]) == ("r0", True)


def test_resolve_tells_what_a_post_may_have_cost_at_most_where_no_other_shows_it() -> None:
    rehearse(job(words(1)), *HELD, code=Exit.ROWS_HELD)
    said = batchrun("resolve", "job.json").stdout
    assert "1 POST in doubt; if all were billed, at most $0.5898" in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("r0",), Exit.USAGE, "say one of"),
        (("r0", "--lost", "--resubmit"), Exit.USAGE, "say one of"),
        (("--lost",), Exit.USAGE, "--lost needs the KEY"),
        (("nobody", "--lost"), Exit.BAD_INPUT, "no row has the key 'nobody'"),
        (("r0", "--lost"), Exit.BAD_INPUT, "it is succeeded"),
        (("r0", "--id", "../x"), Exit.BAD_INPUT, "cannot be the id"),
    ],
)
def test_a_resolution_that_is_unclear_is_not_recorded(arguments: tuple[str, ...], code: Exit, said: str) -> None:
    rehearse(job(words(1)))
    assert said in batchrun("resolve", "job.json", *arguments, code=code).stderr


# -- verify ------------------------------------------------------------------------------------------------------------


def test_verify_says_in_one_line_that_everything_adds_up() -> None:
    rehearse(job(words(2)))
    for named in ("job.json", "runs/job.emulated"):
        said = batchrun("verify", named).stdout
        assert said == "runs/job.emulated: 2 rows, 2 attempts, 3 files: everything adds up\n".replace(
            "runs/job.emulated", str(Path.cwd() / "runs/job.emulated") if named == "job.json" else named
        )
    assert json.loads(batchrun("verify", "job.json", "--json").stdout)["differences"] == []


def test_verify_ends_with_70_and_lists_what_does_not_add_up_until_it_is_made_again() -> None:
    rehearse(job(words(2)))
    Path("runs/job.emulated/results.parquet").write_bytes(b"PAR1")
    said = batchrun("verify", "job.json", code=Exit.INTERNAL).stdout
    assert "results.parquet: is not what was written; `batchrun export` makes it again" in said
    assert said.endswith("1 difference in 2 rows, 2 attempts, 3 files\n")
    (found,) = json.loads(batchrun("verify", "job.json", "--json", code=Exit.INTERNAL).stdout)["differences"]
    assert found["law"] == "outputs"
    batchrun("export", "job.json")
    assert "everything adds up" in batchrun("verify", "job.json").stdout
