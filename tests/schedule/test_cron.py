"""Debian's cron itself fires what `schedule emit` wrote, minute after minute, and the job gets done.

Cron sees directories of the test's own in place of the machine's: it runs in a mount namespace, and all that it has
started ends with it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.processes import command, emulator, ledger, write_job
from tests.schedule.ticked import installed

ROOT = Path(__file__).parent.parent.parent
KEY = "of-no-worth-0123456789"
#: A slot begins with the next minute, and is collected by the tick after.
MOST_SECONDS = 270

#: Lays private directories over those that cron reads and writes, then becomes cron.
CRON = """
set -e
mount -t tmpfs none /var/spool/cron
mkdir -m 1730 /var/spool/cron/crontabs
install -m 600 "$1" /var/spool/cron/crontabs/root
mount -t tmpfs none /etc/cron.d
mount --bind "$2" /etc/crontab
mount -t tmpfs none /run
exec "$3" -f
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The directory of a job with an awkward name: cron, the shell and batchrun have to agree on it."""
    path = tmp_path / "o'brien 100% $HOME;#&"
    path.mkdir()
    write_job(path, 3, schedule={"cron": "* * * * *"})
    (path / "key").write_text(f"{KEY}\n")
    (path / "key").chmod(0o600)
    return path


def program(place: Path) -> Path:
    """batchrun of this checkout, which notes when it was started and with what."""
    path = place / "100% batch run"
    path.write_text(
        "#!/bin/sh\n"
        '{ date +fired=%M; echo "$*"; cat /proc/$$/environ /proc/$$/cmdline; } >> fired\n'
        f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m batchrun "$@"\n'
    )
    path.chmod(0o700)
    return path


def emitted(place: Path, url: str) -> Path:
    """The crontab for the job."""
    options = ["--every", "1m", "--base-url", url, "--program", str(program(place)), "--key-file", str(place / "key")]
    code, _, said = command(place, "schedule", "emit", "job.json", "--for", "crontab", "--out", "made", *options)
    assert code == 0, said
    return place / "made" / "job.crontab"


@contextmanager
def cron(crontab: Path) -> Iterator[None]:
    """Cron with this crontab of root's and no other. Skips the test where that cannot be, with a notice."""
    if os.geteuid() != 0:
        pytest.skip("cron can only be run by root")
    nothing = crontab.with_name("nothing")
    nothing.touch(mode=0o644)
    inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces on this machine: cron would have to run with its own directories")
    daemon = [*inside, "sh", "-c", CRON, "sh", str(crontab), str(nothing), installed("cron")]
    with subprocess.Popen(daemon) as process:
        try:
            yield
            assert process.poll() is None, "cron has ended"
        finally:
            process.kill()


def answered(place: Path) -> int:
    """The rows of the results that have succeeded so far, of the run that has most."""
    tables = [pq.read_table(path).to_pylist() for path in place.glob("runs/**/results.parquet")]
    return max((sum(row["status"] == "succeeded" for row in rows) for rows in tables), default=0)


def wait_until(happened: Callable[[], bool]) -> None:
    """Return when cron has done something; its minute is a minute, and its files are all there is to see of it."""
    for _ in range(2 * MOST_SECONDS):
        if happened():
            return
        time.sleep(0.5)
    pytest.fail(f"it did not happen within {MOST_SECONDS} s")


def test_cron_ticks_a_job_each_minute_until_its_rows_are_answered(place: Path) -> None:
    with emulator(place, "--latency", "3s") as url, cron(emitted(place, url)):
        wait_until(lambda: answered(place) == 3)
    log = (place / "job.log").read_text()
    assert (answered(place), log) == (3, "")
    seen = (place / "fired").read_text()
    assert len(set(re.findall(r"fired=\d\d", seen))) >= 2
    assert KEY not in seen + log
    assert len(ledger(place)) >= 3
