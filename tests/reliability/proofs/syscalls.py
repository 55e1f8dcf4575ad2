"""The n-th write, sync, rename or open of a run's files fails, with EIO and with ENOSPC; then the run is resumed."""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from tests.processes import emulator
from tests.reliability.audit import Judge
from tests.reliability.figures import Figure
from tests.reliability.lives import End, lived
from tests.reliability.planted import Step, in_turn, nothing
from tests.reliability.scenarios import ROWS, SCENARIOS
from tests.reliability.traces import traced

ERRORS = ("EIO", "ENOSPC")
NAMES = ("write", "pwrite64", "fsync", "fdatasync", "rename", "openat", "mkdir", "link", "unlink", "ftruncate")
#: Of every so many calls one fails in a short proof, where they are many and where they are few. Odd, so that both
#: errors come.
_OF_MANY, _OF_FEW, _MANY = 57, 9, 30
_AT_ONCE = 2
_DISK, _HELD = 74, 4
_LINE = re.compile(r"(\d+) +(\w+)\(")


@dataclass(frozen=True, slots=True)
class Failure:
    """The n-th call of a name fails so, in whatever thread it is the n-th."""

    name: str
    number: int
    error: str

    def __str__(self) -> str:
        return f"{self.name}-{self.number}-{self.error}".lower()


def name_drafts() -> None:
    """Drafts have the same names in every life, so that strace can be told of them beforehand."""
    tempfile._name_sequence = (f"draft{n}" for n in count())  # type: ignore[attr-defined]


class Failing:
    """Runs against one emulator, each in a directory of its own below `where`, and each with one failing call.

    `codes` counts how those ended that met their failure. `planted` is a fault of theirs.
    """

    def __init__(self, where: Path, url: str, planted: Step = nothing) -> None:
        self._planted = partial(in_turn, name_drafts, planted)
        self._where, self._words = where, ("run", "job.json", "--base-url", url, "--quiet")
        self._judge = Judge(where / "ledger.jsonl")
        self._paths = tuple[Path, ...]()
        self.codes = Counter[int]()

    def calls(self) -> Counter[str]:
        """How many calls of each name the busiest thread of a run makes on the run's files."""
        where = self._begun("counted")
        ended, lines = traced(where, self._words, ("-y", "-e", f"trace={','.join(NAMES)}"), planted=self._planted)
        assert ended.code == 0, ended.err
        told = "\n".join(lines)
        found = {Path(path) for path in re.findall(rf'[<"]({re.escape(str(where))}/(?:runs|out)[^<>"]*)[>"]', told)}
        self._paths = tuple(sorted(path.relative_to(where) for path in found))
        ours = (_LINE.match(line) for line in lines if any(f"{where / path}" in line for path in self._paths))
        threads = Counter(found.groups() for found in ours if found)
        most = Counter[str]()
        for (_, name), times in threads.items():
            most[name] = max(most[name], times)
        return most

    def faults(self, failure: Failure) -> list[str]:
        """What is wrong with a run that meets the failure, or with the one that goes on with it."""
        where = self._begun(str(failure))
        ended, lines = traced(where, self._words, self._options(where, failure), planted=self._planted)
        if not any("(INJECTED)" in line for line in lines):
            return []
        self.codes[ended.code] += 1
        resumed = lived(where, *self._words)
        most = int(failure.error != "ENOSPC")  # for a full disk there is a reserve
        found = [*_badly(ended), *(f"then {fault}" for fault in self._unfinished(where, resumed, most))]
        return [f"{failure}: {fault}" for fault in found]

    def _begun(self, name: str) -> Path:
        where = self._where / name
        SCENARIOS["media"].write(where)
        return where

    def _options(self, where: Path, failure: Failure) -> list[str]:
        on = [word for path in self._paths for word in ("-P", str(where / path))]
        how = f"inject={failure.name}:error={failure.error}:when={failure.number}"
        return [*on, "-e", f"trace={failure.name}", "-e", how]

    def _unfinished(self, where: Path, resumed: End, most: int) -> Iterator[str]:
        if resumed.code not in (0, _HELD):
            yield f"it cannot go on: {resumed.code} {resumed.err[-300:]}"
            return
        held = int(json.loads((where / "runs/job/run.json").read_text())["ambiguous"])
        if held > most or (held > 0) != (resumed.code == _HELD):
            yield f"{held} rows are held, where {most} may be, and it ends with {resumed.code}"
        yield from self._judge.faults(where, rows=ROWS, doubts=held)


def _badly(ended: End) -> Iterator[str]:
    """A run that met a disk error ends with 74 and one message, or does without what it could not write."""
    if ended.code not in (0, _DISK):
        yield f"it ended with {ended.code}: {ended.err[-300:]}"
    if "Traceback" in ended.err or "itself failed" in ended.err:
        yield f"it told the user {ended.err[-300:]}"
    if ended.code == _DISK and not ended.err.strip() and not ended.out.strip():
        yield "it ended with 74 and no word"


def failures(most: Counter[str], *, full: bool) -> Iterable[Failure]:
    """All calls that can fail, with each error; in a short proof some of those that are many."""
    for name in NAMES:
        each = [Failure(name, n, error) for n in range(1, most[name] + 1) for error in ERRORS]
        yield from each[:: 1 if full else _OF_MANY if len(each) > _MANY else _OF_FEW]


def prove(where: Path, *, full: bool) -> list[Figure]:
    with emulator(where, "--latency", "0s") as url, ThreadPoolExecutor(_AT_ONCE) as pool:
        failing = Failing(where, url)
        chosen = list(failures(failing.calls(), full=full))
        faults = [fault for found in pool.map(failing.faults, chosen) for fault in found]
    met = failing.codes
    return [
        Figure(
            "the n-th system call on a file fails (EIO, ENOSPC)",
            "every n; exit 74 or clean; the next run completes, nothing paid twice, none in doubt for ENOSPC",
            f"{met.total()} failures: {met[_DISK]} ended with 74, {met[0]} went on without; {len(faults)} faults",
            not faults and met.total() >= 0.9 * len(chosen),
            "; ".join(faults[:30]) or f"{', '.join(NAMES)}; SQLite, outputs and media",
        )
    ]
