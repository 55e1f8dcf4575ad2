"""A real terminal, tmux, in which a command runs and of which one reads what a person would see."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux (apt-get install tmux)")
BATCHRUN = f"{shlex.quote(sys.executable)} -m batchrun"
_ENDED = "ended with code"


class Terminal:
    """One window; its server is reached by a socket in a directory of the test's own."""

    def __init__(self, where: Path) -> None:
        self._tmux = ["tmux", "-f", "/dev/null", "-S", str(where / "tmux")]

    def start(self, where: Path, command: str, width: int, height: int, env: Mapping[str, str]) -> None:
        words = [word for name, value in env.items() for word in ("-e", f"{name}={value}")]
        said = f"trap : INT; {command}; echo {_ENDED} $?; exec sleep 600"
        size = ["-x", str(width), "-y", str(height)]
        self._run("new-session", "-d", *size, "-c", str(where), *words, "sh", "-c", said)

    def screen(self) -> list[str]:
        """The lines that are seen, without the empty ones at the end."""
        return self._run("capture-pane", "-p").rstrip().split("\n")

    def seen(self) -> str:
        return "\n".join(self.screen())

    def all(self) -> str:
        """With what has scrolled away; lines that the terminal has wrapped are whole."""
        return self._run("capture-pane", "-p", "-J", "-S", "-")

    def cursor_is_visible(self) -> bool:
        return self._run("display-message", "-p", "#{cursor_flag}").strip() == "1"

    def press(self, key: str) -> None:
        self._run("send-keys", key)

    def type(self, line: str) -> None:
        self._run("send-keys", "-l", line)
        self.press("Enter")

    def resize(self, width: int, height: int) -> None:
        self._run("resize-window", "-x", str(width), "-y", str(height))

    def wait(self, holds: Callable[[str], bool], seconds: float = 60) -> str:
        """What is seen as soon as that holds of it."""
        for _ in range(int(seconds / 0.05)):
            if holds(seen := self.seen()):
                return seen
            time.sleep(0.05)
        raise AssertionError(f"not seen in {seconds} s; there is:\n{self.seen()}")

    def wait_for(self, text: str, seconds: float = 60) -> str:
        return self.wait(lambda seen: text in seen, seconds)

    def end(self, seconds: float = 60) -> int:
        """The exit code."""
        seen = self.wait_for(_ENDED, seconds)
        return int(seen.split(_ENDED)[1].split()[0])

    def kill(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)

    def _run(self, *words: str) -> str:
        own = {name: value for name, value in os.environ.items() if name != "CI"}  # where no live view is drawn
        done = subprocess.run([*self._tmux, *words], check=True, capture_output=True, text=True, env=own)
        return done.stdout


@contextmanager
def terminal(where: Path, command: str, width: int = 80, height: int = 24, **env: str) -> Iterator[Terminal]:
    """`command`, a line for the shell, in a window of this size; its processes are ended with it."""
    opened = Terminal(where)
    plain = {name: value for name, value in os.environ.items() if name in ("PYTHONPATH", "PATH", "HOME")}
    try:
        opened.start(where, command, width, height, {**plain, "LC_ALL": "C.UTF-8", **env})
        yield opened
    finally:
        opened.kill()
