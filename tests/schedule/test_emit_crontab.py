"""What is emitted for cron: cron and the shell read it as it is meant. Real cron runs it in test_cron.py."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from batchrun.errors import SpecError
from batchrun.schedule.emit.crontab import crontab, rotation
from batchrun.schedule.emit.ticking import cron_expression, minutes_of
from tests.schedule.ticked import AWKWARD, installed, ticking

#: Cron's environment, and nothing else.
CRON = {"HOME": "/", "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}


def command(text: str) -> str:
    """What cron gives to the shell: the sixth field of the last line, with `\\%` as it was."""
    return re.split(r"\s+", text.splitlines()[-1], maxsplit=5)[5].replace(r"\%", "%")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with an awkward name."""
    path = tmp_path / AWKWARD.lstrip("/")
    path.mkdir(parents=True)
    return path


def program(place: Path, code: int) -> Path:
    """Instead of batchrun: writes down how it was started, says so, and ends with a code."""
    path = place / "batch run"
    path.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        "kept = {name: os.environ.get(name) for name in ('GEMINI_API_KEY_FILE', 'BATCHRUN_STATE')}\n"
        "mask = os.umask(0)\n"
        "with open('started', 'w') as file:\n"
        "    json.dump([sys.argv[1:], kept, os.getcwd(), mask], file)\n"
        "print('said', file=sys.stderr)\n"
        f"sys.exit({code})\n"
    )
    path.chmod(0o700)
    return path


def fired(place: Path, code: int = 0) -> str:
    """What cron would mail, after the line has run with a program that ends with this code."""
    job = ticking(
        job=f"{place}/job.yaml",
        program=(str(program(place, code)),),
        arguments=("--set", "name=a b%c'\"$x"),
        key_file=f"{place}/key",
        state=f"{place}/state",
        log=f"{place}/tick.log",
    )
    return mailed(crontab(job))


def mailed(text: str) -> str:
    """What a crontab's line prints, as cron runs it."""
    line = ["/bin/sh", "-c", command(text)]
    done = subprocess.run(line, cwd="/", env=CRON, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_tick_gets_its_arguments_its_files_and_its_directory_as_they_are(place: Path) -> None:
    assert fired(place) == ""
    started = json.loads((place / "started").read_text())
    assert started == [
        ["tick", f"{place}/job.yaml", "--quiet", "--set", "name=a b%c'\"$x"],
        {"GEMINI_API_KEY_FILE": f"{place}/key", "BATCHRUN_STATE": f"{place}/state"},
        str(place),
        0o077,
    ]
    assert (place / "tick.log").read_text() == "said\n"


def test_try_later_is_mailed_to_nobody_and_what_is_wrong_is(place: Path) -> None:
    assert fired(place, 75) == ""
    assert fired(place, 3) == "said\nsaid\n"


def test_a_directory_that_is_gone_is_mailed(tmp_path: Path) -> None:
    job = ticking(job="/nowhere/job.yaml", log=str(tmp_path / "log"))
    assert "/nowhere" in mailed(crontab(job))


@pytest.mark.parametrize("every", [1, 2, 5, 30, 60, 120, 720, 1440])
def test_debians_crontab_takes_the_lines(every: int, tmp_path: Path) -> None:
    file = tmp_path / "crontab"
    file.write_text(crontab(ticking(every=every, job=f"{AWKWARD}/job.yaml")))
    done = subprocess.run([installed("crontab"), "-n", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, "successfully checked" in done.stderr) == (0, True), done.stderr


@pytest.mark.parametrize(
    ("every", "said"),
    [(1, "* * * * *"), (5, "*/5 * * * *"), (60, "0 * * * *"), (360, "0 */6 * * *"), (1440, "0 0 * * *")],
)
def test_ticks_are_parts_of_an_hour_or_of_a_day(every: int, said: str) -> None:
    assert cron_expression(minutes_of(every * 60)) == said


@pytest.mark.parametrize("seconds", [0, -60, 30, 90, 7 * 60, 90 * 60, 5 * 3600, 48 * 3600])
def test_other_times_are_refused_since_cron_cannot_say_them(seconds: float) -> None:
    with pytest.raises(ValueError, match="divide an hour"):
        minutes_of(seconds)


@pytest.mark.parametrize(
    "wrong", ["/srv/a\nb", "/srv/a\\b", "/srv/a\x1bb", "/srv/a\u2028b", "/srv/a\udcffb", "/srv/a "]
)
def test_a_path_that_a_crontab_cannot_say_is_refused(wrong: str) -> None:
    with pytest.raises(SpecError, match="a crontab cannot hold"):
        crontab(ticking(log=wrong))


def test_a_line_that_is_too_long_for_cron_is_refused() -> None:
    with pytest.raises(SpecError, match="characters long, and cron takes 990"):
        crontab(ticking(job="/srv/" + "long/" * 100 + "job.yaml"))


def test_logrotate_reads_the_rotation_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "o'brien 100% $HOME;#.log"
    log.write_text("said\n" * 10)
    (tmp_path / "rotation").write_text(rotation(ticking(log=str(log))))
    arguments = ["--debug", "--state", str(tmp_path / "state"), str(tmp_path / "rotation")]
    done = subprocess.run([installed("logrotate"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "error" not in done.stderr.lower(), done.stderr
    assert f"considering log {log}\n" in done.stderr


@pytest.mark.parametrize("character", list('*?[]{}"\\\n'))
def test_a_log_that_logrotate_would_take_for_a_pattern_is_refused(character: str) -> None:
    with pytest.raises(SpecError, match="logrotate's file cannot hold"):
        rotation(ticking(log=f"/srv/a{character}b.log"))
