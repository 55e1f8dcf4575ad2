"""Real processes on real sockets: the emulator as a server, `batchrun` as a command. Ended by their ids."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "batchrun"]


@contextmanager
def emulator(where: Path, *options: str) -> Iterator[str]:
    """`batchrun emulator serve` on a free port; gives its address. Its ledger is `where`/ledger.jsonl."""
    command = [*COMMAND, "emulator", "serve", "--port", "0", "--ledger", str(where / "ledger.jsonl"), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def start(
    where: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    stdin: int | None = None,
    stderr: int = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """A `batchrun` command under way, in this environment and with these streams if no others are given."""
    out = subprocess.PIPE
    return subprocess.Popen(
        [*COMMAND, *arguments], cwd=where, env=env, stdin=stdin, stdout=out, stderr=stderr, text=True
    )


def finish(process: subprocess.Popen[str], seconds: float = 120) -> tuple[int, str, str]:
    """Its exit code, standard output and standard error."""
    with process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return process.returncode, out, err


def command(where: Path, *arguments: str) -> tuple[int, str, str]:
    """Run a `batchrun` command to its end."""
    return finish(start(where, *arguments))


def ledger(where: Path) -> list[dict[str, Any]]:
    """Its lines so far, but for one that is being written."""
    path = where / "ledger.jsonl"
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


def write_job(where: Path, rows: int, **sections: Any) -> None:
    spec = {
        "name": "job",
        "input": {"path": "rows.jsonl", "key": "id"},
        "request": {"model": "gemini-3.5-flash", "input": "Say {{ word }}"},
        "limits": {"posts": 4},
        "poll": {"first": "100ms", "rpm": None},
        **sections,
    }
    (where / "job.json").write_text(json.dumps(spec))
    lines = [json.dumps({"id": f"r{n}", "word": f"word{n}"}) for n in range(rows)]
    (where / "rows.jsonl").write_text("\n".join(lines) + "\n")


def until(met: Callable[[], object], seconds: float = 60) -> None:
    """Wait for what another process does. Fails if it does not come."""
    ends = time.perf_counter() + seconds
    while not met():
        assert time.perf_counter() < ends, "it does not come"
        time.sleep(0.05)
