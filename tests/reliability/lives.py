"""Lives of `batchrun` as processes, forked from one that has imported everything: a start costs a tenth."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock

from batchrun.cli import main

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.reliability.imported"])
_NUMBERS = count()
#: Threads may not start processes and ask for exit codes at the same time: multiprocessing loses codes.
_BOOKS = Lock()


@dataclass(frozen=True, slots=True)
class End:
    """How a life ended: `code` is negative for a signal."""

    code: int
    out: str
    err: str


class Life:
    """A `batchrun` command under way in the directory `where`, where it keeps its list of uploads too.

    `first` runs in its process before the command does.
    """

    def __init__(self, where: Path, *words: str, first: Callable[[], object] | None = None) -> None:
        number = next(_NUMBERS)
        self._said = (where / f".said-{number}.out", where / f".said-{number}.err")
        values = (where, words, first, self._said)
        self._process: BaseProcess = FORKS.Process(target=_live, args=values)
        with _BOOKS:
            self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def ends(self, within: float) -> bool:
        """Whether it ends within these seconds."""
        return bool(wait([self._process.sentinel], within))

    def kill(self) -> None:
        self._process.kill()

    def end(self, seconds: float = 120) -> End:
        """Wait for it. Raises TimeoutError, after a kill, for one that takes longer than `seconds`."""
        if not self.ends(seconds):
            self.kill()
            raise TimeoutError(f"process {self.pid} did not end within {seconds:g} s: {self._said[1].read_text()}")
        with _BOOKS:
            code = self._process.exitcode
            self._process.close()
        assert code is not None
        out, err = (path.read_text(errors="replace") if path.exists() else "" for path in self._said)
        for path in self._said:
            path.unlink(missing_ok=True)
        return End(code, out, err)


def lived(where: Path, *words: str, first: Callable[[], object] | None = None) -> End:
    """A whole life of a command."""
    return Life(where, *words, first=first).end()


def _live(where: Path, words: tuple[str, ...], first: Callable[[], object] | None, said: tuple[Path, Path]) -> None:
    os.chdir(where)
    os.environ["BATCHRUN_STATE"] = str(where / "state")
    for descriptor, path in zip((1, 2), said, strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), descriptor)
    sys.argv = ["batchrun", *words]
    if first is not None:
        first()
    main()
