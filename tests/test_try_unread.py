"""An answer that is paid for is kept, whether or not it can be printed while it comes."""

from __future__ import annotations

import subprocess
from pathlib import Path

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
    with Reader(tmp_path / "runs/job.emulated.tries/1/run.db") as reader:
        assert [(row.outcome, row.attempt and row.attempt.state) for row in reader.rows()] == [("succeeded", "fetched")]
