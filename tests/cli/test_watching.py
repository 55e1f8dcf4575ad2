"""The live view of `run`, and `watch`, as a person sees them: real processes in a real terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from tests.processes import finish, start, write_job
from tests.terminal import BATCHRUN, needs_tmux, terminal

RUN = f"{BATCHRUN} run job.json --emulator"
PRINTING = """
import subprocess

def doubled(row):
    print("printed [bold]by[/bold] row", row["id"], "\\x1b[31m")
    subprocess.run(["sh", "-c", "echo said by a child of " + row["id"]])
    return {"word": row["word"] * 2}
"""


@pytest.fixture
def where(tmp_path: Path) -> Path:
    write_job(tmp_path, 40, limits={"in_flight": 8})
    return tmp_path


def write_pipeline(where: Path) -> None:
    (where / "doubling.py").write_text(PRINTING)
    ask = {"model": "gemini-3.5-flash", "input": "Say {{ word }}"}
    after = {"model": "gemini-3.5-flash", "input": "Say {{ stages.double.output.word }}"}
    stages = {
        "extract": {"request": ask},
        "double": {"needs": "extract", "transform": "doubling:doubled"},
        "check": {"needs": "double", "request": after},
    }
    spec = json.loads((where / "job.json").read_text())
    del spec["request"]
    (where / "job.json").write_text(json.dumps({**spec, "stages": stages}))


@needs_tmux
@pytest.mark.parametrize("width", [30, 60, 100, 200])
def test_a_run_is_seen_while_it_goes_on_and_its_last_state_stays(where: Path, width: int) -> None:
    with terminal(where, f"{RUN} --latency 300ms --faults failed:0.2", width=width) as window:
        seen = window.wait_for("in flight")
        assert re.search(r"^job · running · \d+s$", seen, flags=re.MULTILINE)
        assert re.search(r"^[█▓▒░]+", seen, flags=re.MULTILINE)
        assert window.cursor_is_visible()
        assert window.end() == 3
        seen = window.all()
        assert seen.count("job · ") == 1, "one picture, drawn in place"
        assert "job · ended" in seen
        assert "api_error" in seen
        assert "40 of 40 rows" in seen
        assert all(len(line) <= width for line in window.screen())


@needs_tmux
def test_a_low_window_is_never_overrun(where: Path) -> None:
    write_pipeline(where)
    with terminal(where, f"{RUN} --latency 100ms --faults failed:0.2 > /dev/null", width=50, height=6) as window:
        seen = window.wait_for("job · running")
        while "ended with code" not in seen:
            assert seen.count("job · ") == 1
            seen = window.seen()
        assert "job · ended" in window.all()


@needs_tmux
def test_what_a_pipeline_prints_stands_above_the_view_as_plain_text(where: Path) -> None:
    write_pipeline(where)
    with terminal(where, f"{RUN} --latency 100ms", width=100, height=40) as window:
        assert window.end() == 0
        lines = window.all().split("\n")
        shown = lines.index("job · ended · " + next(line for line in lines if "ended ·" in line).split(" · ")[-1])
        for row in range(40):
            assert rf"printed [bold]by[/bold] row r{row} \x1b[31m" in lines[:shown]
            assert f"said by a child of r{row}" in lines[:shown]
        stages = [line.split() for line in lines[shown:] if re.match(r"  (extract|double|check) .* of ", line)]
        assert [(name, done, rows) for name, _, done, _, rows in stages] == [
            (name, "40", "40") for name in ("extract", "double", "check")
        ]


@needs_tmux
@pytest.mark.parametrize("closing", ["os.close(1); os.close(2)", "sys.stdout.close(); sys.stderr.close()"])
def test_a_view_outlives_what_a_job_closes(where: Path, closing: str) -> None:
    write_pipeline(where)
    code = f"import os, sys\n\ndef doubled(row):\n    if row['id'] == 'r5':\n        {closing}\n    return row\n"
    (where / "doubling.py").write_text(code)
    with terminal(where, f"{RUN} --latency 100ms", width=100, height=40) as window:
        assert window.end() == 0
        assert "job · ended" in window.all()
        assert "120 rows: 120 succeeded" in window.all()


@needs_tmux
def test_a_window_of_another_size_is_drawn_anew_without_leftovers(where: Path) -> None:
    with terminal(where, f"{RUN} --latency 60s", width=120) as window:
        window.wait_for("to be sent")
        for width in (40, 100, 33, 200):
            window.resize(width, 24)
            seen = window.wait(
                lambda seen, width=width: bool(re.search(r"job · running", seen)) and "0 of 40 rows" in seen
            )
            assert len(seen.split("\n")[0]) <= width
        seen = window.wait(lambda seen: "0 of 40 rows  0%" in seen)
        assert seen.count("job · running") == 1


@needs_tmux
def test_ctrl_c_leaves_the_last_state_and_the_cursor(where: Path) -> None:
    with terminal(where, f"{RUN} --latency 60s") as window:
        window.wait_for("8 in flight")
        window.press("C-c")
        assert window.end() == 130
        seen = window.all()
        assert "job · stopping" in seen
        assert "Ctrl-C now leaves at once" in seen
        assert window.cursor_is_visible()


@needs_tmux
def test_a_pause_that_the_service_asks_for_is_seen(where: Path) -> None:
    with terminal(where, f"{RUN} --latency 100ms --faults '429_retry_after=20s:#5'", width=100) as window:
        seen = window.wait_for("the service asked for a pause")
        assert re.search(r"asked for a pause: 1?\d+s more, then one request to see: HTTP 429", seen)


@needs_tmux
@pytest.mark.parametrize(
    ("env", "options"),
    [({"CI": "true"}, ""), ({"TERM": "dumb"}, ""), ({}, " --plain"), ({"BATCHRUN_RUN_PLAIN": "1"}, "")],
)
def test_lines_are_told_where_a_live_view_would_not_do(where: Path, env: dict[str, str], options: str) -> None:
    before = "".join(f"{name}={value} " for name, value in env.items())
    with terminal(where, f"{before}{RUN}{options} --latency 0ms", width=200) as window:
        assert window.end() == 0
        assert re.search(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ended · 40 of 40 done", window.all(), flags=re.MULTILINE)
        assert "█" not in window.all()


@needs_tmux
def test_a_terminal_without_unicode_gets_ascii(where: Path) -> None:
    with terminal(where, f"PYTHONIOENCODING=ascii:backslashreplace {RUN} --latency 0ms", width=100) as window:
        assert window.end() == 0
        seen = window.all()
        assert "job - ended" in seen
        assert re.search(r"^#{20,} ", seen, flags=re.MULTILINE)


# -- watch -------------------------------------------------------------------------------------------------------------


@needs_tmux
def test_watch_sees_a_run_before_it_begins_while_it_goes_on_and_after_it_was_killed(where: Path) -> None:
    with terminal(where, f"{BATCHRUN} watch job.json --emulator", width=100) as window:
        window.wait_for("not begun")
        process = start(where, "run", "job.json", "--emulator", "--latency", "3s", "--quiet")
        try:
            seen = window.wait_for("8 in flight")
            assert "job · running" in seen
            assert f"run by process {process.pid} on " in seen
        finally:
            process.send_signal(signal.SIGKILL)
            finish(process)
        seen = window.wait_for("not running")
        assert "8 in flight" in seen
        assert "nobody runs it" in seen
        code, *_ = finish(start(where, "run", "job.json", "--emulator", "--latency", "0ms", "--quiet"))
        assert code == 0
        assert window.end() == 0, "it ends by itself"
        assert "40 of 40 rows  100%" in window.all()


@needs_tmux
def test_ctrl_c_ends_the_watching_and_not_the_run(where: Path) -> None:
    process = start(where, "run", "job.json", "--emulator", "--latency", "500ms", "--quiet")
    with terminal(where, f"{BATCHRUN} watch job.json --emulator", width=100) as window:
        window.wait_for("in flight")
        window.press("C-c")
        assert window.end() == 130
    assert finish(process)[0] == 0


def test_watch_once_tells_a_pipe_how_it_stands(where: Path) -> None:
    finish(start(where, "run", "job.json", "--emulator", "--latency", "0ms", "--quiet"))
    code, out, told = finish(start(where, "watch", "job.json", "--once"))
    assert (code, out) == (0, "")
    assert re.fullmatch(r"\S+Z ended · 40 of 40 done · tokens: 120 in · .*\n", told)


def test_watch_takes_a_run_directory_for_a_job(where: Path) -> None:
    finish(start(where, "run", "job.json", "--emulator", "--latency", "0ms", "--quiet"))
    _, _, told = finish(start(where, "watch", "runs/job.emulated"))
    assert "ended · 40 of 40 done" in told


def test_a_directory_that_is_no_run_is_not_waited_for_and_the_runs_below_it_are_named(where: Path) -> None:
    (where / "empty").mkdir()
    finish(start(where, "run", "job.json", "--emulator", "--latency", "0ms", "--quiet"))
    for look in ("watch", "tail"):
        code, _, told = finish(start(where, look, "runs"))
        assert (code, "Name one that is below it: runs/job.emulated; or the job file." in told) == (65, True), told
        code, _, told = finish(start(where, look, "empty"))
        assert (code, "none was found below it. Name a run's directory, or its job file." in told) == (65, True), told


def test_a_run_that_has_hold_of_its_directory_and_no_checkpoint_yet_may_be_watched(where: Path) -> None:
    (where / "run.lock").touch()
    code, _, told = finish(start(where, "watch", ".", "--once"))
    assert (code, "not begun" in told) == (0, True)


def test_a_terminal_that_goes_away_does_not_end_the_run(where: Path) -> None:
    ours, theirs = os.openpty()
    env = {**os.environ, "TERM": "xterm", "CI": ""}
    process = start(where, "run", "job.json", "--emulator", "--latency", "200ms", env=env, stderr=theirs)
    os.close(theirs)
    while "in flight" not in os.read(ours, 65536).decode():
        assert process.poll() is None
    os.close(ours)
    code, out, _ = finish(process)
    assert code == 0
    assert "40 rows: 40 succeeded" in out


def test_a_terminal_that_is_stopped_holds_up_nothing(where: Path) -> None:
    ours, theirs = os.openpty()
    termios.tcflow(theirs, termios.TCOOFF)  # as Ctrl-S does
    env = {**os.environ, "TERM": "xterm", "CI": ""}
    process = start(where, "run", "job.json", "--emulator", "--latency", "100ms", env=env, stderr=theirs)
    os.close(theirs)
    code, out, _ = finish(process)
    os.close(ours)
    assert code == 0
    assert "40 rows: 40 succeeded" in out


@needs_tmux
def test_in_the_background_of_a_shell_nothing_is_drawn(where: Path) -> None:
    with terminal(where, "PS1='ready> ' bash --norc -i", width=200) as window:
        window.wait_for("ready>")
        window.type(f"{RUN} --latency 2s > out.txt & until test -e runs/*/run.db; do sleep 0.1; done; sleep 1")
        seen = window.wait(lambda seen: seen.count("ready>") == 2)
        assert "job ·" not in seen
        window.type("fg")
        seen = window.wait_for("job · running")
        assert "ready> fg" in seen, "what was typed stays"


@pytest.mark.parametrize(("name", "value", "coloured"), [("NO_COLOR", "1", False), ("TERM", "xterm-256color", True)])
def test_colours_are_left_out_on_request(where: Path, name: str, value: str, coloured: bool) -> None:
    ours, theirs = os.openpty()
    env = {**os.environ, "TERM": "xterm", "CI": "", name: value}
    process = start(where, "run", "job.json", "--emulator", "--latency", "0ms", env=env, stderr=theirs)
    os.close(theirs)
    drawn = all_of(ours)
    assert finish(process)[0] == 0
    assert ("\x1b[32m" in drawn) is coloured
    assert "40 of 40 rows" in drawn


def all_of(terminal: int) -> str:
    """What is written to a terminal until nobody has it open any more."""
    drawn = b""
    with suppress(OSError):
        while came := os.read(terminal, 65536):
            drawn += came
    os.close(terminal)
    return drawn.decode()
