"""A real daemon with real children, killed and started again, on a clock that runs a hundred times as fast."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random

from batchrun.clock import wall_clock
from batchrun.schedule.record import FILE_NAME, Entry, Record
from batchrun.schedule.verdicts import State
from tests.processes import ledger

ROWS = 2
_EVERY = timedelta(minutes=2)
_NAME = "%Y-%m-%dT%H%MZ"


class Killed:
    """Lives of one daemon over a directory, against an emulator at `url`."""

    def __init__(self, where: Path, url: str) -> None:
        self.where, self._url, self._began = where, url, wall_clock()
        self._life: subprocess.Popen[bytes] | None = None
        job = {
            "name": "job",
            "schedule": {"cron": "*/2 * * * *", "catch_up": "all", "overlap": "queue"},
            "input": {"path": "rows.jsonl", "key": "id"},
            "request": {"model": "gemini-3.5-flash", "input": "{{ slot }}: {{ word }}"},
            "poll": {"first": "50ms", "rpm": None},
        }
        where.mkdir(exist_ok=True)
        (where / "job.json").write_text(json.dumps(job))
        rows = [json.dumps({"id": f"r{n}", "word": f"word{n}"}) for n in range(ROWS)]
        (where / "rows.jsonl").write_text("\n".join(rows) + "\n")

    def start(self) -> None:
        words = [sys.executable, "-m", "tests.daemon.fast", str(self.where), self._url, str(self._began)]
        with (self.where.parent / "said.txt").open("ab") as said:
            self._life = subprocess.Popen(words, stdout=said, stderr=said)

    def kill(self) -> None:
        """kill -9. Its children hear of it, and stop as by Ctrl-C."""
        assert self._life is not None
        self._life.kill()
        self._life.wait()

    def stop(self) -> int:
        assert self._life is not None
        os.kill(self._life.pid, signal.SIGTERM)
        return self._life.wait(60)

    def entries(self) -> list[Entry]:
        home = self.where / "runs" / "job"
        if not (home / FILE_NAME).is_file():
            return []
        with Record(home) as record:
            return record.entries()

    def wait(self, until: Callable[[list[Entry]], bool], seconds: float) -> None:
        """Wait until the record is so. Raises TimeoutError with what the daemon said."""
        ends = time.perf_counter() + seconds
        while not until(self.entries()):
            if time.perf_counter() > ends:
                raise TimeoutError((self.where.parent / "said.txt").read_text()[-3000:])
            time.sleep(0.05)


def lived(daemon: Killed, kills: int, seed: int) -> Iterator[str]:
    """What is wrong with a daemon that is killed so often, and then told to stop."""
    random = Random(seed)
    for _ in range(kills):
        before = len(daemon.entries())
        daemon.start()
        daemon.wait(lambda entries, before=before: len(entries) > before, 60)  # type: ignore[misc]
        time.sleep(random.uniform(0.0, 1.5))  # the moment of the kill is what is drawn
        daemon.kill()
    before = len(daemon.entries())
    daemon.start()
    daemon.wait(lambda entries: [entry.state for entry in entries].count(State.DONE) > before, 120)
    if code := daemon.stop():
        yield f"it ended with {code}"
    yield from faults(daemon.where, daemon.entries())


def faults(where: Path, entries: list[Entry]) -> Iterator[str]:
    """Slots that are not accounted for, and requests that were sent twice or are of no slot."""
    times = [datetime.strptime(entry.name, _NAME) for entry in entries]  # noqa: DTZ007
    yield from (f"nothing between {a} and {b}" for a, b in pairwise(times) if b - a != _EVERY)
    yield from (f"{entry}" for entry in entries if entry.state not in (State.DONE, State.BEGUN, State.QUEUED))
    sent = Counter(line["request_sha256"] for line in ledger(where.parent) if line["billed"])
    yield from (f"a request was sent {count} times" for count in sent.values() if count > 1)
    done, begun = (sum(entry.state in states for entry in entries) for states in (_OVER, _BEGUN))
    if not ROWS * done <= len(sent) <= ROWS * begun:
        yield f"{len(sent)} requests for {done} slots that are done, and {begun - done} that were begun"


_OVER = (State.DONE,)
_BEGUN = (State.DONE, State.BEGUN)
