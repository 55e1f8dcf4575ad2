"""The short sets of failing system calls and of disks that are too small, and that a stubborn run does not pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes import emulator
from tests.reliability.planted import disk_errors_unexplained
from tests.reliability.proofs import disk_sizes
from tests.reliability.proofs.syscalls import Failing, Failure, prove
from tests.reliability.traces import available

needs_strace = pytest.mark.skipif(not available(), reason="needs strace (apt-get install strace)")


@needs_strace
def test_whichever_system_call_fails_the_run_says_so_and_the_next_one_completes(tmp_path: Path) -> None:
    for figure in prove(tmp_path, full=False):
        assert figure.met, figure.note


def test_a_disk_that_is_too_small_ends_a_run_and_one_that_has_grown_completes_it(tmp_path: Path) -> None:
    for figure in disk_sizes.prove(tmp_path, full=False):
        assert figure.met, figure.note


@needs_strace
def test_a_run_that_does_not_tell_its_disk_errors_is_found_out(tmp_path: Path) -> None:
    with emulator(tmp_path, "--latency", "0s") as url:
        failing = Failing(tmp_path, url, disk_errors_unexplained)
        assert failing.calls()["fdatasync"] >= 6
        faults = [fault for n in (4, 6) for fault in failing.faults(Failure("fdatasync", n, "EIO"))]
    assert "itself failed" in "\n".join(faults)
