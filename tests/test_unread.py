"""Output that finds no place or no reader: what is paid for is kept, and the exit code says what happened."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import BinaryIO

import pytest

from batchrun.errors import Exit
from batchrun.store.reader import Reader
from tests.processes import COMMAND, write_job


def test_an_answer_that_cannot_be_printed_while_it_comes_is_kept(tmp_path: Path) -> None:
    write_job(tmp_path, 1)
    with Path("/dev/full").open("wb") as full:
        stream = [*COMMAND, "try", "job.json", "--emulator", "--latency", "0ms", "--stream"]
        done = subprocess.run(stream, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == Exit.DISK
    assert "cannot write to standard output: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert_kept(tmp_path)


def assert_kept(where: Path) -> None:
    with Reader(where / "runs/job.emulated.tries/1/run.db") as reader:
        assert [(row.outcome, row.attempt and row.attempt.state) for row in reader.rows()] == [("succeeded", "fetched")]


@pytest.mark.parametrize("command", ["--version", "show --help", "schema", "validate job.json"])
def test_whatever_is_printed_on_a_full_disk_ends_alike(tmp_path: Path, command: str) -> None:
    write_job(tmp_path, 1)
    with Path("/dev/full").open("wb") as full:
        code, said = printed(tmp_path, command, full)
    assert code == Exit.DISK
    assert said == "error: cannot write to standard output: No space left on device. What was done is on record.\n"


def printed(where: Path, command: str, place: BinaryIO) -> tuple[int, str]:
    """Exit code and standard error of a command that prints to a place."""
    arguments = [*COMMAND, *command.split()]
    done = subprocess.run(arguments, cwd=where, stdout=place, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", ["--version", "schema", "validate job.json"])
def test_whatever_is_printed_for_a_reader_that_has_left_ends_alike(tmp_path: Path, command: str) -> None:
    write_job(tmp_path, 1)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        assert printed(tmp_path, command, pipe) == (128 + signal.SIGPIPE, "")


def test_what_is_said_beside_an_answer_needs_a_place_too(tmp_path: Path) -> None:
    write_job(tmp_path, 1)
    with Path("/dev/full").open("wb") as full:
        trial = [*COMMAND, "try", "job.json", "--emulator", "--latency", "0ms"]
        done = subprocess.run(trial, cwd=tmp_path, stdout=subprocess.PIPE, stderr=full, text=True)
    assert done.returncode == Exit.DISK
    assert_kept(tmp_path)
