"""The last lines of a terminal, drawn again and again: what to write so that the new picture stands where the old was.

The cursor is never hidden, so nothing has to be put right after a process that was killed. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

#: While it is drawn, lines do not wrap: terminals do not agree on the columns of every character.
_UNWRAPPED, _WRAPPED = "\x1b[?7l", "\x1b[?7h"
#: Terminals that know this show nothing half drawn; the others take no notice.
_TOGETHER, _SHOW = "\x1b[?2026h", "\x1b[?2026l"
_ERASE_LINE, _UP = "\x1b[2K", "\x1b[A"


class Region:
    """What is on the screen: the columns that each line takes, with the cursor at the end of the last one."""

    def __init__(self) -> None:
        self._lines: list[int] = []

    def frame(self, lines: Sequence[str], columns: Sequence[int], width: int, above: Sequence[str] = ()) -> str:
        """Draw `lines`, which take so many `columns`, in place of those before, with others `above` that stay.

        Of what is on the screen, lines wider than the terminal now is have been wrapped by it.
        """
        said = "".join(f"{line}\r\n" for line in above)
        drawn = _UNWRAPPED + "\r\n".join(lines) + _WRAPPED
        text = f"{_TOGETHER}{self._erased(width)}{said}{drawn}{_SHOW}"
        self._lines = list(columns)
        return text

    def leave(self) -> str:
        """What is drawn stays; whatever comes begins on a line of its own."""
        text = "\r\n" if self._lines else ""
        self._lines = []
        return text

    def _erased(self, width: int) -> str:
        """Line by line: a screen that is erased as a whole goes into the history of some terminals."""
        rows = sum(max(1, -(-columns // width)) for columns in self._lines)
        return "\r" + (_ERASE_LINE + _UP) * (rows - 1) + _ERASE_LINE
