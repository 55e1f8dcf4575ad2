"""The terminal that standard error is, if it is one: how large, how to write to it, and whether it is ours now."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import TextIO

from rich.console import Console
from rich.text import Text

from batchrun.cli.paper import Paper
from batchrun.cli.picture import picture
from batchrun.cli.region import Region
from batchrun.views.view import View

#: After a break as long the process may have slept, and others have written meanwhile.
_BREAK = 3.0


class Screen:
    """Draws views in place. What cannot be written is not tried again: nobody looks any more.

    `clock` gives seconds.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float], env: Mapping[str, str] = os.environ) -> None:
        self._stream, self._clock = stream, clock
        self._console = Console(
            file=StringIO(), force_terminal=True, legacy_windows=False, highlight=False, markup=False, emoji=False,
            _environ=env,
        )  # fmt: skip
        self._region = Region()
        self._drawn_at = clock()
        self.gone = False

    def paper(self) -> Paper:
        """What there is room for: a line stays free for what was typed."""
        try:
            width, height = os.get_terminal_size(self._stream.fileno())
        except OSError:
            width, height = 0, 0
        return Paper(width or 80, max(1, (height or 24) - 1), self._stream.encoding)

    def draw(self, view: View, above: Sequence[str] = ()) -> None:
        """Draw a view, below lines that stay."""
        if self.gone or not self._is_ours():
            return
        if self._clock() - self._drawn_at > _BREAK:
            self._write(self._region.leave())
        self._drawn_at = self._clock()
        paper = self.paper()
        lines = picture(view, paper)
        said = [paper.legible(line) for line in above]
        self._write(self._region.frame(self._inked(lines), [line.cell_len for line in lines], paper.width, said))

    def leave(self) -> None:
        """The last picture stays."""
        self._write(self._region.leave())

    def _inked(self, lines: Sequence[Text]) -> list[str]:
        with self._console.capture() as drawn:
            for line in lines:
                self._console.print(line, end="\n", soft_wrap=True)
        return drawn.get().split("\n")[:-1]

    def _is_ours(self) -> bool:
        """False in the background of a shell: its user is typing there."""
        try:
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        except OSError:  # a terminal of nobody's, such as that of a program that watches us
            return True

    def _write(self, text: str) -> None:
        """Past the stream's buffer: a thread that hangs here would hold its lock, over the end of the process too."""
        rest = text.encode(self._stream.encoding, "backslashreplace")
        try:
            while rest:
                rest = rest[os.write(self._stream.fileno(), rest) :]
        except (OSError, ValueError):
            self.gone = True
