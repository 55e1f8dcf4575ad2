"""What is emitted for systemd: systemd itself reads it, without complaint and as it is meant."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchrun.errors import SpecError
from batchrun.schedule.emit.systemd import calendar, files, service
from batchrun.schedule.emit.ticking import Ticking
from tests.schedule.ticked import AWKWARD, installed, ticking

NOBODY = 65534
MANAGER = Path("/lib/systemd/systemd")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that is a user's who is not root: as root, systemd's manager would want to be the first process."""
    path = Path(tempfile.mkdtemp(prefix="units-"))
    yield path
    shutil.rmtree(path)


def awkward(place: Path) -> Ticking:
    """A job whose program is there, with a name that systemd takes."""
    program = place / "100% batch run"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return ticking(
        job=f"{AWKWARD}/job.yaml",
        program=(str(program),),
        arguments=("--set", "name=a b%c'\"\\"),
        key_file="/etc/b %n/gemini.key",
        state=f"{AWKWARD}/state",
        writes=(AWKWARD, f"{place}/runs"),
    )


def written(job: Ticking, place: Path) -> list[str]:
    for name, text in files(job).items():
        (place / name).write_text(text)
    return [str(place / name) for name in files(job)]


def analyze(*arguments: str) -> str:
    done = subprocess.run(
        [installed("systemd-analyze"), *arguments],
        env={"PATH": "/usr/bin:/bin", "TZ": "UTC"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def understood(place: Path, unit: str) -> str:
    """A unit as a manager of systemd loaded it: its own dump, in a transaction that is not carried out."""
    installed("systemd-analyze")
    environment = {"HOME": str(place), "XDG_RUNTIME_DIR": str(place), "SYSTEMD_UNIT_PATH": f"{place}:"}
    command = [str(MANAGER), "--test", "--user", f"--unit={unit}"]
    if os.geteuid() == 0:
        for path in (place, *place.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]
    environment |= {"SYSTEMD_LOG_TARGET": "console", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(f"-> Unit {unit}:", 1)[1].split("\t-> Unit ", 1)[0]


def values(dump: str, name: str) -> list[str]:
    return re.findall(rf"^\s*{name}: (.*)$", dump, re.MULTILINE)


def words(line: str) -> list[str]:
    """A command line of a dump, which is quoted for the shell; systemd makes one `$` of two when it starts it."""
    done = subprocess.run(["/bin/sh", "-c", f"printf '%s\\0' {line}"], capture_output=True, text=True, check=True)
    return done.stdout.replace("$$", "$").split("\0")[:-1]


def test_systemd_verifies_both_units_without_a_word(place: Path) -> None:
    assert analyze("verify", "--man=no", *written(awkward(place), place)) == ""


def test_systemd_reads_paths_arguments_and_settings_as_they_are_meant(place: Path) -> None:
    job = awkward(place)
    written(job, place)
    dump = understood(place, "batchrun-nightly.service")
    assert values(dump, "WorkingDirectory") == [AWKWARD]
    assert values(dump, "ReadWritePaths") == [f"{AWKWARD} {place}/runs /tmp /var/tmp"]
    assert words(values(dump, "Command Line")[0]) == list(job.command)
    key, state = values(dump, "Environment")
    assert key.endswith("/credentials/batchrun-nightly.service/gemini-api-key")
    assert state == f"BATCHRUN_STATE={AWKWARD}/state"
    said = {"Type": "oneshot", "KillSignal": "SIGINT", "UMask": "0077", "TimeoutStopSec": "2min 30s"}
    assert {name: values(dump, name)[0] for name in said} == said


def test_a_service_may_do_little(place: Path) -> None:
    told = analyze("security", "--offline=true", "--threshold=45", written(awkward(place), place)[0])
    assert "Overall exposure level" in told


def test_the_timer_starts_the_service_of_its_name(place: Path) -> None:
    written(awkward(place), place)
    [started] = values(understood(place, "batchrun-nightly.timer"), "Triggers")
    assert started.split()[0] == "batchrun-nightly.service"


@pytest.mark.parametrize("every", [1, 5, 20, 30, 60, 120, 360, 720, 1440])
def test_ticks_come_at_these_intervals(every: int) -> None:
    told = analyze("calendar", "--iterations=3", "--base-time=2026-11-23 00:00:00 UTC", calendar(every))
    times = re.findall(r"(?:elapse|#\d): \w+ \S+ (\d\d):(\d\d):00", told)
    assert [int(hour) * 60 + int(minute) for hour, minute in times] == [every * n % 1440 for n in (1, 2, 3)]


def test_try_later_and_a_stop_are_no_failures() -> None:
    assert "SuccessExitStatus=75 130\n" in service(ticking())


def test_a_job_that_is_not_in_tmp_has_a_tmp_of_its_own() -> None:
    assert "PrivateTmp=yes\n" in service(ticking())


@pytest.mark.parametrize(
    "wrong", [{"program": ("/srv/it's",)}, {"program": ("/srv/$x",)}, {"key_file": '/srv/"k"'}, {"state": "/srv/a\nb"},
              {"arguments": ("--set", "name=a\nUser=root")}, {"user": "a\nb"}, {"writes": ("/srv/a\\b",)}],
)  # fmt: skip
def test_what_a_unit_cannot_say_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(SpecError, match="cannot hold"):
        service(ticking(**wrong))
