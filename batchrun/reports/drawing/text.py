"""A diagram as text for a terminal: lines and nodes on the left, beside them what each does and how its rows stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from batchrun.glyphs import columns, packed, padded, safe
from batchrun.reports.drawing.diagram import Diagram, Kind
from batchrun.reports.drawing.lanes import DOWN, LEFT, RIGHT, UP, Step, steps

#: Columns for what a stage does, at least and at most, and at most for its counts, where these stand beside it.
_DOES, _MOST, _COUNTS = 44, 80, 40
_GAP = 3


@dataclass(frozen=True, slots=True)
class Strokes:
    """The characters of a drawing: of lines by the sides at which they leave a cell, of nodes by their kind."""

    lines: Mapping[int, str]
    marks: Mapping[Kind, str]
    dot: str


_BOXES = Strokes(
    {
        0: " ",
        UP + DOWN: "│",
        LEFT + RIGHT: "─",
        UP + RIGHT: "╰",
        UP + LEFT: "╯",
        DOWN + RIGHT: "╭",
        DOWN + LEFT: "╮",
        UP + DOWN + RIGHT: "├",
        UP + DOWN + LEFT: "┤",
        DOWN + LEFT + RIGHT: "┬",
        UP + LEFT + RIGHT: "┴",
        UP + DOWN + LEFT + RIGHT: "┼",
    },
    {Kind.INPUT: "○", Kind.REQUEST: "●", Kind.TRANSFORM: "◆"},
    " · ",
)
_PLAIN = Strokes(
    {cells: line.translate(str.maketrans("│─╭╮┬╰╯┴├┤┼", "|-...'''+++")) for cells, line in _BOXES.lines.items()},
    {Kind.INPUT: "o", Kind.REQUEST: "*", Kind.TRANSFORM: "#"},
    "; ",
)


def text_of(diagram: Diagram, width: int, encoding: str = "utf-8") -> str:
    """Lines of at most `width` columns, as long as no more lanes run side by side than fit.

    What the terminal's `encoding` cannot show is drawn in ASCII, and written as escapes.
    """
    return "".join(f"{line}\n" for line in _Page(diagram, width, encoding).lines())


class _Page:
    """What all lines of a drawing share: where its columns begin."""

    def __init__(self, diagram: Diagram, width: int, encoding: str) -> None:
        self._steps, self._encoding = list(steps(diagram)), encoding
        self._strokes = _BOXES if _encodable(_BOXES, encoding) else _PLAIN
        named = max(2 * len(step.beside) + columns(step.node.name) for step in self._steps) + _GAP
        counts = max(columns(", ".join(step.node.standing)) for step in self._steps)
        self._counts = min(counts, _COUNTS)
        self._beside_names = named <= max(width // 3, 24)
        self._begin = named if self._beside_names else 2 * max(len(step.beside) for step in self._steps) + 2
        self._room = max(width - self._begin, 16)
        self._counts_beside = self._counts > 0 and self._room >= _DOES + _GAP + self._counts

    def lines(self) -> Iterator[str]:
        for number, step in enumerate(self._steps):
            if number:
                yield self._lane_row(step.links).rstrip()
            yield from (line.rstrip() for line in self._node(step))

    def _node(self, step: Step) -> Iterator[str]:
        details = self._details(step)
        head = f"{self._lane_row(step.beside, self._marked(step))}{step.node.name}"
        yield padded(head, self._begin) + (details.pop(0) if self._beside_names and details else "")
        for detail in details:
            yield padded(self._lane_row(step.below), self._begin) + detail

    def _details(self, step: Step) -> list[str]:
        """The lines beside a node, or below it."""
        said = [self._shown(text) for text in step.node.said]
        if not self._counts_beside:
            stands = packed(step.node.standing, self._room, ", ")
            return [*packed(said, self._room, self._strokes.dot), *stands]
        room = min(self._room - self._counts - _GAP, _MOST)
        left, right = packed(said, room, self._strokes.dot), packed(step.node.standing, self._counts, ", ")
        most = max(len(left), len(right))
        left, right = ([*lines, *[""] * (most - len(lines))] for lines in (left, right))
        return [padded(does, room + _GAP) + stands for does, stands in zip(left, right, strict=True)]

    def _lane_row(self, cells: list[int], marks: Mapping[int, str] | None = None) -> str:
        """The lanes, each with what joins it to the next."""
        ends = [lane for lane, cell in enumerate(cells) if cell not in (0, UP + DOWN)]
        across = range(ends[0], ends[-1]) if ends else range(0)
        line = self._strokes.lines
        drawn = [(marks or {}).get(lane) or line[cell] for lane, cell in enumerate(cells)]
        return "".join(cell + (line[LEFT + RIGHT] if lane in across else " ") for lane, cell in enumerate(drawn))

    def _marked(self, step: Step) -> dict[int, str]:
        return {step.at: self._strokes.marks[step.node.kind]}

    def _shown(self, text: str) -> str:
        return safe(text).encode(self._encoding, "backslashreplace").decode(self._encoding)


def _encodable(strokes: Strokes, encoding: str) -> bool:
    try:
        "".join((*strokes.lines.values(), *strokes.marks.values(), strokes.dot)).encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
