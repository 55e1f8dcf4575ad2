"""Completion in real shells: a line is begun, the tab key is pressed, and the shell fills in what is meant."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchrun.cli import commands
from tests.processes import command, write_job
from tests.schedule.ticked import installed

ROOT = Path(__file__).parent.parent.parent
TAB = b"\t"
SECONDS = 30

#: How each shell is started bare, and made ready.
START = {
    "bash": (["--norc", "--noprofile", "-i"], "PS1='> '; source <(batchrun completion bash)"),
    "zsh": (["-f", "-i"], "PS1='> '; autoload -Uz compinit; compinit -u; source <(batchrun completion zsh)"),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a `batchrun` to call, a job that has run, and files that are no jobs."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "batchrun"
    script = [
        "#!/bin/sh",
        f"export PYTHONPATH={shlex.quote(str(ROOT))}",
        f'exec {shlex.quote(sys.executable)} -m batchrun "$@"',
    ]
    program.write_text("\n".join(script) + "\n")
    program.chmod(0o755)
    (tmp_path / "work").mkdir()
    write_job(tmp_path / "work", 2)
    (tmp_path / "work" / "job.json").rename(tmp_path / "work" / "nightly.json")
    (tmp_path / "work" / "notes.txt").touch()
    return tmp_path


def environment(place: Path) -> dict[str, str]:
    kept = {"HOME": str(place), "TERM": "dumb", "ZDOTDIR": str(place), "LANG": "C.UTF-8"}
    return {**kept, "PATH": f"{place}/bin:/usr/bin:/bin", "XDG_DATA_HOME": str(place), "XDG_CONFIG_HOME": str(place)}


@contextmanager
def shell(name: str, place: Path) -> Iterator[Callable[[bytes, str], str]]:
    """An interactive shell on a terminal: gives `typed(keys, expected)`, which reads until that is shown."""
    arguments, ready = START[name]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [installed(name), *arguments],
        cwd=place / "work",
        env=environment(place),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)

    def typed(keys: bytes, expected: str) -> str:
        os.write(ours, keys)
        seen = ""
        while expected not in seen and select.select([ours], [], [], SECONDS)[0]:
            seen += os.read(ours, 4096).decode(errors="replace")
        return seen

    try:
        typed(f"{ready}; echo re''ady\n".encode(), "\nready")
        yield typed
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_commands_options_and_job_files_are_completed_at_the_tab_key(name: str, place: Path) -> None:
    with shell(name, place) as typed:
        assert "validate" in typed(b"batchrun vali" + TAB, "validate")
        assert "nightly.json" in typed(b"night" + TAB, "nightly.json")
        assert "--strict" in typed(b"--str" + TAB, "--strict")


def test_fish_completes_with_what_the_commands_are_for(place: Path) -> None:
    fish = installed("fish")
    asked = ["batchrun vali", "batchrun run night", "batchrun schedule emit nightly.json --for sys"]
    lines = "; ".join(f"complete -C {shlex.quote(line)}" for line in asked)
    script = f"batchrun completion fish | source; {lines}"
    done = subprocess.run(
        [fish, "--no-config", "-c", script],
        cwd=place / "work",
        env=environment(place),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    first, *others = done.stdout.splitlines()
    assert first.startswith("validate\tCheck a job"), done.stderr
    assert others == ["nightly.json", "systemd"]


def offered(*words: str) -> list[tuple[str, str]]:
    """What is offered for the last word, with its kind, as fish is told it."""
    variables = {"COMP_WORDS": shlex.join(["batchrun", *words[:-1]]), "COMP_CWORD": words[-1]}
    runner = CliRunner(env={**variables, "_BATCHRUN_COMPLETE": "fish_complete"})
    lines = runner.invoke(commands, [], prog_name="batchrun").stdout.splitlines()
    return [(kind, value.split("\t")[0]) for kind, _, value in (line.partition(",") for line in lines if line)]


@pytest.fixture
def ran(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a job with a run on the emulator, one row of which has a name that a shell would obey."""
    work = place / "work"
    rows = [{"id": name, "word": "a"} for name in ("invoice-1", "invoice-2", "$(touch owned)", "a b", "-rf", "x`id`")]
    (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--emulator", "--latency", "0ms", "--set", "poll.first=0", "--quiet"]
    assert command(work, "run", "nightly.json", *options)[0] == 0
    monkeypatch.chdir(work)
    return work


def test_rows_are_completed_but_for_names_that_a_shell_might_obey(ran: Path) -> None:
    assert offered("show", "nightly.json", "") == [("plain", "invoice-1"), ("plain", "invoice-2")]
    assert offered("show", "nightly.json", "--emulator", "invoice-2") == [("plain", "invoice-2")]
    assert offered("show", "nothing.json", "") == []
    assert offered("resolve", "nightly.json", "inv")[0] == ("plain", "invoice-1")


def test_limits_are_offered_to_be_set_and_those_of_stages_where_the_job_has_some(ran: Path) -> None:
    run = [("plain", f"limits.{name}=") for name in ("rpm", "tpm", "in_flight", "max_cost")]
    assert offered("set", "nightly.json", "") == run
    assert offered("set", "nightly.json", "limits.rpm=1", "limits.m") == run[3:]
    with sqlite3.connect(ran / "runs" / "job.emulated" / "run.db") as db:
        parts = {"stages.ask.model": "", "stages.ask.input": "", "stages.$(touch owned).input": ""}
        db.execute("UPDATE meta SET value = ? WHERE name = 'request_parts'", [json.dumps(parts)])
    db.close()
    stages = [("plain", f"stages.ask.limits.{name}=") for name in ("rpm", "tpm", "max_cost")]
    assert offered("set", "nightly.json", "st") == stages
    assert offered("set", "runs/job.emulated", "") == run + stages
    assert offered("set", "nothing.json", "") == run


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_after_the_name_of_a_limit_its_value_can_be_typed_at_once(name: str, place: Path) -> None:
    with shell(name, place) as typed:
        assert "limits.rpm=7" in typed(b"echo batchrun; batchrun set nightly.json limits.r" + TAB + b"7", "=7")


def test_runs_are_offered_for_a_run_directory(ran: Path) -> None:
    assert offered("show", "nightly.json", "--run-dir", "") == [("dir", ""), ("plain", "runs/job.emulated")]


def test_the_slots_of_the_job_that_have_a_run_are_offered_the_latest_first(ran: Path) -> None:
    names = ("2026-11-22T0300Z", "2026-11-23T0300Z")
    for slot in (*names, "elsewhere", "$(touch owned)"):
        shutil.copytree(ran / "runs" / "job.emulated", ran / "runs" / "job" / slot)
    (ran / "runs" / "job" / "2026-11-24T0300Z").mkdir()
    latest_first = [("plain", name) for name in reversed(names)]
    assert offered("show", "nightly.json", "--slot", "") == latest_first
    assert offered("show", "--slot", "2026-11-22") == []
    assert offered("run", "nightly.json", "--slot", "2026-11-22") == latest_first[1:]
    assert offered("show", "nothing.json", "--slot", "") == []
    assert offered("show", "nightly.json", "--emulator", "--slot", "") == []


def test_a_damaged_checkpoint_completes_to_nothing(ran: Path) -> None:
    (ran / "runs" / "job.emulated" / "run.db").write_bytes(b"no database" * 1000)
    assert offered("show", "nightly.json", "") == []


def test_files_with_names_that_a_shell_might_obey_are_left_to_the_shell(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place / "work")
    Path("$(touch owned).yaml").touch()
    Path("sub").mkdir()
    Path("sub/other.toml").touch()
    assert offered("run", "") == [("dir", ""), ("plain", "nightly.json")]
    assert offered("run", "sub/") == [("dir", "sub/"), ("plain", "sub/other.toml")]
    assert offered("run", "not") == [("file", "not")]


def test_an_unknown_shell_is_refused() -> None:
    done = CliRunner().invoke(commands, ["completion", "tcsh"])
    assert done.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in done.output
