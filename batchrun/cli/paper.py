"""What a picture is drawn on: columns, lines and signs of a terminal.

What rows, the service and jobs say is only ever text here: no markup, no control character, no column too many.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.text import Text

from batchrun.cli.printing import shortened
from batchrun.glyphs import safe

#: Marks that take no column could make a line of any length.
_MOST_CHARACTERS = 300


@dataclass(frozen=True)
class Paper:
    """So many columns and lines, and the encoding in which they are written."""

    width: int
    height: int
    encoding: str = "utf-8"

    @property
    def ascii(self) -> bool:
        """Whether nothing but ASCII may be drawn, as far as we know."""
        return not self.encoding.lower().replace("-", "").startswith("utf")

    @property
    def dot(self) -> Text:
        """What stands between parts of a line."""
        return Text(" - " if self.ascii else " · ", style="dim")

    def text(self, said: str, style: str = "") -> Text:
        """What anybody said, on one line, with escapes for what cannot be seen or written."""
        return Text(self.legible(shortened(said, _MOST_CHARACTERS)), style=style, no_wrap=True, end="")

    def legible(self, said: str) -> str:
        """A line with escapes for what cannot be seen or written."""
        line = safe(said.replace("\n", " "))
        return line.encode(self.encoding, "backslashreplace").decode(self.encoding) if self.ascii else line

    def line(self, *parts: Text | str) -> Text:
        """Parts one after the other, cut where the line ends; those of type `str` are our own."""
        return self.cut(Text.assemble(*parts, no_wrap=True, end=""), self.width)

    def cut(self, text: Text, width: int) -> Text:
        """At most `width` columns of it."""
        if text.cell_len > width:
            dots = "..." if self.ascii else "…"
            text.truncate(max(0, width - len(dots)), overflow="crop")
            text.append(dots[:width])
        return text

    def packed(self, parts: Iterable[Text]) -> list[Text]:
        """Parts with dots between them, as many on a line as fit."""
        lines: list[Text] = []
        for part in parts:
            if lines and lines[-1].cell_len + self.dot.cell_len + part.cell_len <= self.width:
                lines[-1] = self.line(lines[-1], self.dot, part)
            else:
                lines.append(self.line(part))
        return lines

    def wrapped(self, text: Text, most: int) -> list[Text]:
        """A text in as many lines as it needs, the last one cut where that is more than `most`."""
        lines: list[Text] = []
        for word in text.split(" "):
            if lines and (len(lines) == most or lines[-1].cell_len + 1 + word.cell_len <= self.width):
                lines[-1] = Text.assemble(lines[-1], " ", word, no_wrap=True, end="")
            else:
                lines.append(word)
        return [self.cut(line, self.width) for line in lines]
