"""The child process that goes on with one job's slots, and the pipes between it and the daemon.

What it needs, the API key too, comes to it by its standard input, so that nobody finds it in its arguments, its
environment or a file. That pipe stays open: at its end the child stops as by Ctrl-C, also if the daemon was killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from batchrun.daemon.jobs import JobFile

_PACKAGES = Path(__file__).resolve().parents[2]

#: How long a process may take to leave at once.
_LAST_SECONDS = 2.0

#: Told each line that a child says, as JSON values.
Hear = Callable[[Mapping[str, Any]], None]


class Child(Protocol):
    """A process that goes on with the slots of a job."""

    async def wait(self) -> int:
        """Its exit code, once it has ended; that of a signal is negative."""

    def stop(self) -> None:
        """Have it stop as by Ctrl-C: open POSTs are awaited."""

    def kill(self) -> None:
        """End it at once, with what its alerts have started."""


#: Starts a child for a job. Raises OSError.
Launch = Callable[[JobFile, Hear], Child]


class Process:
    """`entry` is the module of which `main` is what the child does, `given` what it is told first (JSON values).

    `forget` is told its pid once it is gone. Belongs to the running loop. Raises OSError where no process can be
    started.
    """

    def __init__(
        self,
        entry: str,
        path: Path,
        given: Mapping[str, Any],
        hear: Hear,
        waiting: Executor,
        forget: Callable[[int], object],
    ) -> None:
        self._hear, self._forget, self._rest = hear, forget, b""
        # Its own session: a Ctrl-C in the terminal is for the daemon, which stops it once.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _program(entry), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        self._give(given)
        self._loop = asyncio.get_running_loop()
        assert self._process.stdout is not None
        self._said = self._process.stdout.fileno()
        os.set_blocking(self._said, False)
        self._loop.add_reader(self._said, self._read)
        self._ended = self._loop.run_in_executor(waiting, self._process.wait)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        code = await asyncio.shield(self._ended)
        self._forget(self.pid)
        self._read()
        self._close()
        return code

    def stop(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        """It was told to stop: another signal makes it leave at once. One that hears none any more is killed."""
        self._process.terminate()
        self._loop.call_later(_LAST_SECONDS, self._process.kill)

    def _give(self, given: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it is dead already, which `wait` tells
            self._process.stdin.write(json.dumps(given).encode() + b"\n")

    def _read(self) -> None:
        """What it has said so far. Its own children may keep the pipe open after its end: nobody waits for theirs."""
        try:
            while data := os.read(self._said, 65536):
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    self._say(line)
            self._loop.remove_reader(self._said)
        except BlockingIOError:
            return

    def _say(self, line: bytes) -> None:
        with suppress(ValueError):
            if isinstance(said := json.loads(line), dict):
                self._hear(said)

    def _close(self) -> None:
        self._loop.remove_reader(self._said)
        self.stop()
        assert self._process.stdout is not None
        self._process.stdout.close()


def _program(entry: str) -> str:
    """It finds this very package, and nothing in the working directory, whatever lies there."""
    return f"import sys; sys.path.append({str(_PACKAGES)!r}); from {entry} import main; main()"


class Launcher:
    """Starts children by `entry`; each is told `given`. At most `most` of them are awaited at once."""

    def __init__(self, entry: str, given: Mapping[str, Any], most: int) -> None:
        self._entry, self._given = entry, given
        self._waiting = ThreadPoolExecutor(most, "child")
        self._ours: set[int] = set()

    def __call__(self, job: JobFile, hear: Hear) -> Child:
        child = Process(self._entry, job.path, self._given, hear, self._waiting, self._ours.discard)
        self._ours.add(child.pid)
        return child

    def reap(self) -> None:
        """Bury the dead that are nobody's, as process 1 of a container has to."""
        with suppress(ChildProcessError):
            while (dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if dead.si_pid in self._ours:  # whoever waits for it is about to
                    return
                os.waitpid(dead.si_pid, 0)
