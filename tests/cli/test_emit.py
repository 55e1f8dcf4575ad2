"""`schedule emit`, as a user types it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from batchrun.cli import commands
from batchrun.errors import Exit
from tests.schedule.ticked import installed

KEY = "of-no-worth-0123456789"


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv("BATCHRUN_STATE", str(tmp_path / "state"))
    return tmp_path


def job(**schedule: Any) -> None:
    spec = {
        "name": "nightly",
        "input": {"path": "rows.jsonl", "key": "id"},
        "request": {"model": "gemini-3.5-flash", "input": "Say {{ word }}"},
        "schedule": {"cron": "0 3 * * *", "timezone": "Europe/Berlin", **schedule},
    }
    Path("job.json").write_text(json.dumps(spec))


def emit(target: str, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(commands, ["schedule", "emit", "job.json", "--for", target, *arguments])
    assert result.exit_code == code, result.output
    return result


def test_what_is_printed_for_cron_may_be_put_into_a_crontab(somewhere: Path) -> None:
    job()
    Path("printed").write_text(emit("crontab").stdout)
    done = subprocess.run([installed("crontab"), "-n", "printed"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in Path("printed").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) == 1
    assert f"tick {somewhere}/job.json --quiet" in lines[0]
    assert f"BATCHRUN_STATE={somewhere}/state" in lines[0]


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("crontab", ["nightly.crontab", "nightly.logrotate"]),
        ("systemd", ["batchrun-nightly.service", "batchrun-nightly.timer"]),
        ("kubernetes", ["nightly.cronjob.yaml"]),
    ],
)
def test_files_are_written_without_the_key_and_others_may_read_them(target: str, names: list[str]) -> None:
    job()
    said = emit(target, "--out", "made")
    assert sorted(path.name for path in Path("made").iterdir()) == names
    for path in Path("made").iterdir():
        assert KEY not in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o644
    assert KEY not in said.output
    assert "Put it to work: " in said.stderr


def test_for_kubernetes_it_says_how_the_key_and_the_files_come_into_the_cluster(somewhere: Path) -> None:
    job()
    said = emit("kubernetes", "--out", "made", "--secret", "mine").stderr
    assert "kubectl apply -f made/nightly.cronjob.yaml\n" in said
    assert "Its key: kubectl create secret generic mine --from-file=api-key=FILE\n" in said
    assert "mounts the claim batchrun-nightly at /data" in said
    assert f"(cd {somewhere} && tar -cf - *) | kubectl exec -i POD -- tar -xf - -C /data\n" in said


def test_what_the_tick_is_told_beside_the_job_is_in_its_command_with_absolute_paths(somewhere: Path) -> None:
    job()
    given = ["--set", "limits.rpm=60", "--run-dir", "there", "--base-url", "http://localhost:1", "--emulator"]
    text = emit("systemd", *given, "--max-time", "10m").stdout
    words = ["--quiet", "--run-dir", f"{somewhere}/there", "--set", "limits.rpm=60"]
    words += ["--base-url", "http://localhost:1", "--max-time", "10m", "--emulator"]
    assert " ".join(f'"{word}"' for word in words) in text


def test_a_job_that_catches_nothing_up_is_ticked_often_enough_not_to_miss_a_slot() -> None:
    job(catch_up="none")
    assert emit("crontab").stdout.splitlines()[2].startswith("*/5 * * * * ")
    assert "a shorter --every" in emit("crontab", "--every", "2h", code=Exit.BAD_INPUT).stderr


def test_an_interval_that_cron_cannot_say_is_refused() -> None:
    job()
    assert "divide an hour" in emit("crontab", "--every", "7m", code=Exit.USAGE).stderr
    assert "no duration" in emit("crontab", "--every", "often", code=Exit.USAGE).stderr


@pytest.mark.parametrize("option", ["--every", "--max-time"])
def test_a_time_that_is_none_is_refused_before_a_tick_would_do_so(option: str) -> None:
    job()
    assert "is no duration" in emit("crontab", option, "soon", code=2).output


def test_a_bare_number_is_one_of_seconds_as_in_a_job_file() -> None:
    job()
    assert emit("crontab", "--every", "300", "--max-time", "90").output.splitlines()[2].startswith("*/5 ")


def test_a_job_without_a_schedule_is_told_so() -> None:
    job()
    spec = json.loads(Path("job.json").read_text())
    Path("job.json").write_text(json.dumps({name: value for name, value in spec.items() if name != "schedule"}))
    assert "the job has no `schedule`" in emit("crontab", code=Exit.BAD_INPUT).stderr


def test_a_run_outside_of_the_volume_is_refused_and_one_in_it_is_found_there(tmp_path: Path) -> None:
    job()
    refused = emit("kubernetes", "--run-dir", "/srv/elsewhere", code=Exit.BAD_INPUT).stderr
    assert f"the container's volume holds {tmp_path}" in refused
    assert '"/data/mine"' in emit("kubernetes", "--run-dir", "mine").stdout


def test_an_unknown_user_is_refused() -> None:
    job()
    assert "no such user" in emit("systemd", "--user", "nobody-of-that-name", code=Exit.BAD_INPUT).stderr


def test_a_key_that_others_may_read_is_warned_of_and_a_missing_one_told() -> None:
    job()
    Path("key").write_text(KEY)
    Path("key").chmod(0o644)
    assert "others may read the API key" in emit("crontab", "--key-file", "key").stderr
    Path("key").chmod(0o600)
    assert "API key" not in emit("crontab", "--key-file", "key").stderr
    assert "Put the API key into" in emit("crontab", "--key-file", "none").stderr


@pytest.mark.parametrize("target", ["crontab", "systemd", "kubernetes"])
def test_variables_that_alerts_need_are_told_because_a_tick_has_an_environment_of_its_own(target: str) -> None:
    job()
    spec = json.loads(Path("job.json").read_text())
    to = [{"webhook": "https://hooks.example.com/${HOOK_TOKEN}"}, {"ping": "https://hc.example.com/${HC_UUID}"}]
    Path("job.json").write_text(json.dumps(spec | {"alerts": {"to": [*to, {"command": ["true", "${NONE}"]}]}}))
    assert "Its alerts need HOOK_TOKEN, HC_UUID, and without them no slot begins: " in emit(target).stderr
    assert "HOOK_TOKEN" not in emit(target, "--emulator").stderr


def test_a_directory_that_cannot_be_written_is_told() -> None:
    job()
    Path("made").write_text("a file")
    assert "--out" in emit("crontab", "--out", "made", code=Exit.USAGE).stderr
    assert "cannot be written to" in emit("crontab", "--out", "made/below", code=Exit.DISK).stderr
