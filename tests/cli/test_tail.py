"""`batchrun tail`: the last records, and those that come, over rotations and from one run to the next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchrun.telemetry.following import Follower
from batchrun.telemetry.log_file import LogFile
from batchrun.telemetry.records import json_line
from tests.processes import COMMAND, command, until, write_job


def line(number: int) -> str:
    return json_line({"time": "2026-11-22T13:00:00.000Z", "level": "info", "action": "row.ended", "row": f"r{number}"})


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogFile]:
    """A log that begins anew every five lines."""
    file = LogFile(tmp_path / "run.log", 5 * len(line(10)) + 10)
    yield file
    file.close()


@pytest.fixture
def follower(tmp_path: Path) -> Iterator[Follower]:
    follower = Follower(tmp_path / "run.log")
    yield follower
    follower.close()


def numbers(lines: Iterator[bytes] | list[bytes]) -> list[int]:
    return [int(json.loads(each)["row"][1:]) for each in lines]


def write(log: LogFile, *which: int) -> None:
    for number in which:
        log.write(line(number))


def test_the_last_lines_are_told_from_older_files_too(tmp_path: Path, log: LogFile) -> None:
    write(log, *range(10, 22))
    follower = Follower(tmp_path / "run.log")
    assert [numbers(follower.last(count)) for count in (0, 1, 4, 12, 99)] == [
        [],
        [21],
        [18, 19, 20, 21],
        list(range(10, 22)),
        list(range(10, 22)),
    ]
    follower.close()


def test_nothing_is_missed_or_told_twice_over_rotations(log: LogFile, follower: Follower) -> None:
    assert (follower.exists, numbers(follower.new())) == (False, [])
    seen = []
    for start in range(10, 99, 7):  # each time the file is another one
        write(log, *range(start, start + 7))
        seen += numbers(follower.new())
    assert seen == list(range(10, seen[-1] + 1))


def test_what_has_come_over_several_rotations_is_told_in_its_order(tmp_path: Path, log: LogFile) -> None:
    write(log, 10)
    follower = Follower(tmp_path / "run.log")
    assert numbers(follower.last(10)) == [10]
    write(log, *range(11, 27))
    assert numbers(follower.new()) == list(range(11, 27))
    follower.close()


def test_a_line_is_told_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text(line(1) + line(2)[:20])
    follower = Follower(path)
    assert (numbers(follower.last(5)), list(follower.new())) == ([1], [])
    with path.open("a") as file:
        file.write(line(2)[20:])
    assert numbers(follower.new()) == [2]
    follower.close()


def test_a_log_that_was_emptied_is_told_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text(line(1) + line(2))
    follower = Follower(path)
    follower.last(1)
    path.write_text(line(3))
    assert numbers(follower.new()) == [3]
    follower.close()


# -- the command -----------------------------------------------------------------------------------------------------


def tail(where: Path, out: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with out.open("wb") as file:
        return subprocess.Popen([*COMMAND, "tail", *arguments], cwd=where, stdout=file, stderr=subprocess.PIPE)


def test_it_waits_for_a_run_tells_its_records_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    write_job(tmp_path, 3)
    out = tmp_path / "out"
    with tail(tmp_path, out, "job.json", "--json", "--run-dir", "here") as process:
        assert process.stderr is not None
        assert b"waiting for a run" in process.stderr.readline()
        for _ in range(2):
            command(tmp_path, "run", "job.json", "--emulator", "--run-dir", "here")
        until(lambda: out.read_text().count("run.ended") == 2, 30)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert out.read_text() == (tmp_path / "here" / "run.log").read_text()


def test_it_ends_when_nobody_reads_any_more(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text(line(1))
    process = subprocess.Popen([*COMMAND, "tail", "."], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"row=r1" in process.stdout.readline()
        process.stdout.close()
        assert (process.wait(30), process.stderr.read()) == (141, b"")


def test_text_and_foreign_lines_are_told_without_moving_the_cursor(tmp_path: Path) -> None:
    hostile = [
        '{"row": "a\\u001b[2J\\nb", "nested": {"x": "\\u202e"}}',
        "[" * 100_000,
        "\x1b[31mred",
        '"a"',
        "{" + '"a":{' * 5000,
    ]
    (tmp_path / "run.log").write_text(line(1) + "".join(f"{each}\n" for each in hostile))
    code, out, _ = command(tmp_path, "tail", ".", "--no-follow")
    lines = out.splitlines()
    assert (code, len(lines)) == (0, 6)
    assert lines[0] == "2026-11-22T13:00:00.000Z info    row.ended row=r1"
    assert all(each.isprintable() for each in lines)
    assert [
        json.loads(each).get("row") for each in command(tmp_path, "tail", ".", "--no-follow", "--json")[1].splitlines()
    ] == [
        "r1",
        "a\x1b[2J\nb",
    ]


def test_how_many_lines_and_where_the_log_is_can_be_said(tmp_path: Path) -> None:
    write_job(tmp_path, 1)
    command(tmp_path, "run", "job.json", "--emulator", "--log-file", "mine.log")
    assert (
        len(command(tmp_path, "tail", "job.json", "--log-file", "mine.log", "-n", "2", "--no-follow")[1].splitlines())
        == 2
    )
    code, _, err = command(tmp_path, "tail", "job.json", "--no-follow")
    assert (code, "there is no log" in err) == (65, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_log_that_may_not_be_read_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text(line(1))
    (tmp_path / "run.log").chmod(0)
    code, _, err = command(tmp_path, "tail", ".", "--no-follow")
    assert (code, "Permission denied" in err) == (74, True)


def test_a_pipe_is_no_log_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.log")
    code, _, err = command(tmp_path, "tail", ".", "--no-follow")
    assert (code, "it is no file" in err) == (74, True)
