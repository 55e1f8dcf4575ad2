"""As the first process of a container, batchrun obeys signals: the system drops those that have no handler there."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.processes import COMMAND, emulator, ledger, write_job
from tests.test_kill import wait_until

SECONDS = 30


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a command as the first process of a namespace, in the test's directory. Skips where there are none."""
    inside = next((words for words in ([], ["--user", "--map-root-user"]) if has_namespaces(words)), None)
    if inside is None:
        pytest.skip("no process namespaces on this machine")
    begun = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [*namespace(inside), *COMMAND, *arguments]
        begun.append(subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def namespace(more: list[str]) -> list[str]:
    return ["unshare", *more, "--pid", "--fork", "--kill-child", "--mount-proc"]


def has_namespaces(more: list[str]) -> bool:
    return subprocess.run([*namespace(more), "true"], capture_output=True, check=False).returncode == 0


def told(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    """Its exit code and what it said, after a signal from outside."""
    [inner] = psutil.Process(process.pid).children()
    inner.send_signal(number)
    _, said = process.communicate(timeout=SECONDS)
    return process.returncode, said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_stops_gently_and_what_it_submitted_goes_on(
    number: signal.Signals, code: int, first: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    write_job(tmp_path, 3)
    with emulator(tmp_path, "--latency", "60s") as url:
        run = first("run", "job.json", "--base-url", url, "--quiet")
        wait_until(lambda: len(ledger(tmp_path)) == 3)
        status, said = told(run, number)
    assert (status, "what was submitted goes on at the service" in said) == (code, True)


def test_a_command_that_has_not_begun_anything_ends_at_once(
    first: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    request = {"model": "gemini-3.5-flash", "input": "{{ word }}", "functions": "slow:look"}
    write_job(tmp_path, 1, request=request)
    (tmp_path / "slow.py").write_text(
        f"import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep({4 * SECONDS})\n\n\ndef look() -> str: ...\n"
    )
    run = first("validate", "job.json")
    wait_until((tmp_path / "begun").exists)
    assert told(run, signal.SIGTERM)[0] == 143


def test_the_namespace_is_real(first: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    write_job(tmp_path, 1, request={"model": "gemini-3.5-flash", "input": "{{ word }}", "functions": "who:look"})
    (tmp_path / "who.py").write_text(
        "import os\nopen('pid', 'w').write(str(os.getpid()))\n\n\ndef look() -> str: ...\n"
    )
    first("validate", "job.json").communicate(timeout=SECONDS)
    assert (tmp_path / "pid").read_text() == "1"
