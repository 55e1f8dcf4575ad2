"""The system calls of a life of batchrun, told or failed by strace (a Debian package), which sits outside of it."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

from tests.reliability.lives import End, Life
from tests.reliability.planted import Step, in_turn, nothing

_SET_PTRACER, _ANY = 0x59616D61, -1
_LONGEST_STRING = 10_000_000
_CALL = re.compile(r"(\d+) +(\w+)\((.*)\) += (.*)")
_BROKEN_OFF = re.compile(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)")
_LIVES = count()


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that came back. `began` and `ended` are places in the order of all that was seen.

    `arguments` and `result` are as strace prints them with -y and -xx: every text in hexadecimal.
    """

    began: int
    ended: int
    name: str
    arguments: str
    result: str


@cache
def available() -> bool:
    """Whether strace is installed and may look at other processes."""
    found = shutil.which("strace")
    return found is not None and subprocess.run([found, "-o", os.devnull, "true"], capture_output=True).returncode == 0


def traced(
    where: Path, words: Sequence[str], options: Sequence[str], *, planted: Step = nothing
) -> tuple[End, list[str]]:
    """A life of `batchrun WORDS` under `strace OPTIONS`: how it ended, and the lines that strace wrote.

    Raises OSError where strace cannot be had.
    """
    if not available():
        raise OSError("strace is needed, and the permission to trace: apt-get install strace")
    log = where / f".trace-{next(_LIVES)}"
    life = Life(where, *words, first=_Traced(planted))
    command = ["strace", "-f", "-qq", "-o", str(log), *options, "-p", str(life.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        while not life.ends(0.5):
            if tracer.poll() is not None:
                life.kill()
        _, said = tracer.communicate(timeout=60)
    ended = life.end()
    if said.startswith("strace: attach"):
        raise OSError(f"strace cannot trace here: {said}")
    lines = log.read_text(errors="replace").splitlines()
    log.unlink()
    return ended, lines


@dataclass(frozen=True, slots=True)
class _Traced:
    """Goes on with the steps of a process once it is traced."""

    then: Step

    def __call__(self) -> None:
        ctypes.CDLL(None).prctl(_SET_PTRACER, _ANY, 0, 0, 0)
        while "TracerPid:\t0\n" in Path("/proc/self/status").read_text():
            os.sched_yield()
        in_turn(self.then)


def calls(lines: Sequence[str]) -> Iterator[Call]:
    """The calls in the order in which they ended, put together again where others came between."""
    begun = dict[str, tuple[int, str, str]]()
    for place, line in enumerate(lines):
        if found := _BROKEN_OFF.fullmatch(line):
            thread, name, head = found.groups()
            begun[thread] = (place, name, head)
        elif found := _RESUMED.fullmatch(line):
            thread, name, tail = found.groups()
            began, _, head = begun.pop(thread)
            if whole := _CALL.fullmatch(f"{thread} {name}({head}{tail}"):
                yield Call(began, place, name, whole[3], whole[4])
        elif found := _CALL.fullmatch(line):
            yield Call(place, place, found[2], found[3], found[4])
