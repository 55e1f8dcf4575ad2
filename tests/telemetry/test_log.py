"""A run's log: complete, one record a line, through rotation, other programs, death and full disks."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from batchrun.engine.events import PollFailed, Posted
from batchrun.errors import Exit
from batchrun.store.lock import RunLock
from batchrun.telemetry.log import Log
from batchrun.telemetry.log_file import KEPT, LogFile
from tests.processes import command, emulator, finish, start, write_job
from tests.rehearsal import Rehearsal


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


@contextmanager
def log_of(job: Rehearsal, path: Path, told: list[str], **options: Any) -> Iterator[Log]:
    log = Log(LogFile(path, options.pop("size", 0)), "sums", job.clock.wall, told.append, **options)
    yield log
    log.close()


@pytest.fixture
def told() -> list[str]:
    """What the user was told about the log."""
    return []


def test_a_run_logs_its_beginning_every_row_and_its_end(tmp_path: Path, told: list[str]) -> None:
    job = Rehearsal(tmp_path, 5)
    with log_of(job, tmp_path / "run.log", told) as log:
        job.run(observe=log, faults="429:0.3")
    found = records(tmp_path / "run.log")
    actions = [record["action"] for record in found]
    assert (actions[0], actions[-1], actions.count("row.ended")) == ("run.started", "run.ended", 5)
    submitted = {each["row"]: each["interaction"] for each in found if each.get("result") == "submitted"}
    assert submitted == {each["key"]: each["interaction_id"] for each in job.usage()}
    assert (len({record["run"] for record in found}), told) == (1, [])


def test_the_next_process_appends_and_says_that_it_goes_on(tmp_path: Path, told: list[str]) -> None:
    job, path = Rehearsal(tmp_path, 4), tmp_path / "run.log"
    for limit in (2, None, None):
        with log_of(job, path, told) as log:
            job.run(observe=log, limit=limit)
    runs = [(each["action"], each.get("posts")) for each in records(path) if each["action"].startswith("run.")]
    assert runs == [
        *(("run.started", None), ("run.ended", 2)),
        *(("run.resumed", None), ("run.ended", 4)),
        ("run.ended", 4),  # nothing was left to do
    ]


def test_the_levels(tmp_path: Path, told: list[str]) -> None:
    from batchrun.telemetry.records import Level

    found = {}
    for level in Level:
        job = Rehearsal(tmp_path / level.name, 3)
        with log_of(job, job.where / "run.log", told, level=level) as log:
            job.run(observe=log, faults="503:0.3")
        found[level] = {each["action"] for each in records(job.where / "run.log")}
    assert found[Level.DEBUG] - found[Level.INFO] == {"poll.made", "row.landed"}
    assert found[Level.INFO] - found[Level.WARNING] == {"run.started", "run.ended", "row.ended"}


def test_the_log_is_readable_by_its_user_alone(tmp_path: Path, told: list[str]) -> None:
    job = Rehearsal(tmp_path, 1)
    with log_of(job, tmp_path / "run.log", told) as log:
        job.run(observe=log)
    assert (tmp_path / "run.log").stat().st_mode & 0o777 == 0o600


# -- the file --------------------------------------------------------------------------------------------------------


def fill(file: LogFile, lines: int, size: int = 100) -> None:
    for number in range(lines):
        file.write(f"{number:0{size - 1}}\n")


@pytest.fixture
def file(tmp_path: Path) -> Iterator[LogFile]:
    with closing(LogFile(tmp_path / "run.log", 0)) as file:
        yield file


def test_a_log_begins_anew_at_its_size_and_a_bounded_number_is_kept(tmp_path: Path) -> None:
    with closing(LogFile(tmp_path / "run.log", 1000)) as file:
        fill(file, 100)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"run.log", *(f"run.log.{number}" for number in range(1, KEPT + 1))}
    assert max(sizes.values()) <= 1000
    assert int((tmp_path / "run.log").read_text().splitlines()[-1]) == 99


def test_a_log_that_another_program_moves_away_goes_on_in_a_new_file(tmp_path: Path, file: LogFile) -> None:
    path = tmp_path / "run.log"
    fill(file, 3)
    path.rename(tmp_path / "yesterday")
    fill(file, 2)
    assert [len(each.read_text().splitlines()) for each in (tmp_path / "yesterday", path)] == [3, 2]


def test_a_log_that_another_program_empties_goes_on_from_its_beginning(tmp_path: Path, file: LogFile) -> None:
    fill(file, 3)
    os.truncate(tmp_path / "run.log", 0)
    fill(file, 1)
    assert (tmp_path / "run.log").stat().st_size == 100


def test_after_a_process_that_died_in_the_midst_of_a_line_a_new_one_begins(tmp_path: Path, file: LogFile) -> None:
    path = tmp_path / "run.log"
    path.write_text('{"half')
    file.write('{"whole": 1}\n')
    assert path.read_text() == '{"half\n{"whole": 1}\n'


# -- what may stand in the way ---------------------------------------------------------------------------------------


def a_link(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))


def a_directory(path: Path) -> None:
    path.mkdir()


def a_pipe_without_a_reader(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("obstacle", [a_link, a_directory, a_pipe_without_a_reader])
def test_what_cannot_be_written_is_told_once_and_the_run_goes_on(
    tmp_path: Path, told: list[str], obstacle: Callable[[Path], None]
) -> None:
    job, path = Rehearsal(tmp_path, 3), tmp_path / "run.log"
    obstacle(path)
    with log_of(job, path, told) as log:
        assert job.run(observe=log).exit_code is Exit.OK
    assert (len(told), (tmp_path / "elsewhere").exists()) == (1, False)
    assert told[0].startswith("the log: ")


def test_a_full_disk_is_told_once_and_the_run_goes_on(tmp_path: Path, told: list[str]) -> None:
    job = Rehearsal(tmp_path, 3)
    with log_of(job, Path("/dev/full"), told) as log:
        assert job.run(observe=log).exit_code is Exit.OK
    assert told == ["the log: No space left on device; the run goes on without it, and tries again"]


def test_records_that_were_lost_are_counted_once_there_is_room_again(tmp_path: Path, told: list[str]) -> None:
    job, path, full = Rehearsal(tmp_path, 1), tmp_path / "run.log", [True]

    class Disk(LogFile):
        def write(self, text: str) -> None:
            if full[0]:
                raise OSError(28, "No space left on device")
            super().write(text)

    log = Log(Disk(path, 0), "sums", job.clock.wall, told.append)
    log(PollFailed("r1", "HTTP 503"))
    while not told:
        os.sched_yield()
    full[0] = False
    log(Posted("r1", "submitted"))
    log.close()
    assert [(each["action"], each.get("records")) for each in records(path)] == [("row.posted", None), ("log.lost", 1)]


# -- the commands ----------------------------------------------------------------------------------------------------


def test_run_logs_into_the_run_directory_and_says_why_it_failed(tmp_path: Path) -> None:
    write_job(tmp_path, 2)
    assert command(tmp_path, "run", "job.json", "--emulator", "--quiet")[0] == 0
    path = tmp_path / "runs" / "job.emulated" / "run.log"
    assert [each["action"] for each in records(path)].count("row.ended") == 2
    (tmp_path / "rows.jsonl").write_text('{"id": "r0", "word": "other"}\n')
    code, _, err = command(tmp_path, "run", "job.json", "--emulator", "--quiet")
    last = records(path)[-1]
    assert (code, last["action"], last["exit_code"]) == (65, "run.failed", 65)
    assert last["error"][:40] in err


def test_a_tick_that_finds_the_run_going_on_says_so_in_its_log(tmp_path: Path) -> None:
    write_job(tmp_path, 1)
    command(tmp_path, "tick", "job.json", "--emulator", "--run-dir", "here")
    with closing(RunLock(tmp_path / "here")):
        code, _, _ = command(tmp_path, "tick", "job.json", "--emulator", "--run-dir", "here")
    last = records(tmp_path / "here" / "run.log")[-1]
    assert (code, last["action"], last["exit_code"]) == (75, "run.failed", 75)


def test_a_command_that_finds_no_run_leaves_no_log(tmp_path: Path) -> None:
    write_job(tmp_path, 2)
    (tmp_path / "rows.jsonl").unlink()
    command(tmp_path, "run", "job.json", "--run-dir", "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_on_standard_error_the_log_is_all_there_is(tmp_path: Path) -> None:
    write_job(tmp_path, 2)
    arguments = ("run", "job.json", "--emulator", "--log-file", "-", "--json")
    code, out, err = command(tmp_path, *arguments)
    found = [json.loads(line) for line in err.splitlines()]
    assert (code, json.loads(out)["succeeded"], found[-1]["action"]) == (0, 2, "run.ended")
    assert list(tmp_path.rglob("run.log")) == []


def test_a_log_of_text_and_none_at_all(tmp_path: Path) -> None:
    write_job(tmp_path, 1)
    code, _, _ = command(tmp_path, "tick", "job.json", "--emulator", "--log-file", "a.log", "--log-format", "text")
    assert (code, command(tmp_path, "tick", "job.json", "--emulator", "--log-level", "off")[0]) == (0, 0)
    lines = (tmp_path / "a.log").read_text().splitlines()
    assert all(
        re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (info|warning) +\w+\.\w+ job=job", each) for each in lines
    )
    assert list((tmp_path / "runs").rglob("run.log")) == []


def test_no_part_of_the_api_key_and_no_prompt_is_in_a_log(tmp_path: Path) -> None:
    key = "AIza" + "Sy" + "0123456789abcdefghijklmnopqrstuvw"
    write_job(tmp_path, 4)
    with emulator(tmp_path, "--latency", "0s", "--faults", "503:0.3") as url:
        assert url.startswith("http://127.0.0.1:")
        env = {**os.environ, "GEMINI_API_KEY": key}
        process = start(tmp_path, "run", "job.json", "--base-url", url, "--log-level", "debug", env=env)
        assert finish(process)[0] == 0
    log = (tmp_path / "runs" / "job" / "run.log").read_text()
    assert ("row.posted" in log, key[4:14] in log, "word1" in log) == (True, False, False)
