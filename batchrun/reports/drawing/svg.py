"""A diagram as SVG: nothing in it runs, loads or links, and it fits light and dark pages. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from batchrun.glyphs import columns, packed, safe, wrapped
from batchrun.plurals import counted
from batchrun.reports.drawing.diagram import STANDINGS, Diagram, Kind, Node
from batchrun.reports.drawing.layers import Point, Size, placed

#: Pixels: of a column of the names' text and of the other's, between lines, inside a box, around all.
_NAME_COLUMN, _COLUMN, _LEADING, _INSIDE, _MARGIN = 8.6, 7.3, 18.0, 14.0, 24.0
#: Columns that a line has at most, and the lines of one fact.
_WIDEST, _MOST = 40, 3
_LEAST_WIDTH, _HEADER, _BAR, _ARROW = 120.0, 44.0, 5.0, 7.0
#: Characters that XML cannot hold, besides those that `safe` has escaped.
_NO_XML = re.compile("[\ufffe\uffff]")
#: The colours of standings, for a light page and for a dark one.
_COLOURS = {
    "succeeded": ("#2f9e44", "#51cf66"),
    "failed": ("#e03131", "#ff6b6b"),
    "invalid_output": ("#e8590c", "#ff922b"),
    "incomplete": ("#f08c00", "#ffc078"),
    "blocked": ("#c2255c", "#f06595"),
    "awaiting_approval": ("#6741d9", "#b197fc"),
    "ambiguous": ("#9c36b5", "#da77f2"),
    "skipped": ("#adb5bd", "#6c757d"),
    "in_flight": ("#1971c2", "#4dabf7"),
    "pending": ("#dee2e6", "#3d434a"),
}
_STYLE = """
text { font-family: ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; font-size: 12px; fill: #343a40 }
.name { font-size: 14px; font-weight: bold; fill: #16191d }
.stands { fill: #5c6670 }
.page { fill: #ffffff }
.box { fill: #f8f9fa; stroke: #868e96; stroke-width: 1.2 }
.request .box { fill: #eef5fd; stroke: #3b82c4 }
.transform .box { fill: #f1f8f1; stroke: #57935b }
.edge { fill: none; stroke: #868e96; stroke-width: 1.5 }
.arrow { fill: #868e96 }
"""
_DARK = """
text { fill: #ced4da }
.name { fill: #f8f9fa }
.stands { fill: #a5adb5 }
.page { fill: #16191d }
.box { fill: #22262b; stroke: #868e96 }
.request .box { fill: #1b2a3a; stroke: #5c9bd6 }
.transform .box { fill: #1e2d21; stroke: #74b077 }
"""


@dataclass(frozen=True, slots=True)
class _Box:
    """The lines of a box, and its size."""

    node: Node
    does: list[str]
    stands: list[str]

    @classmethod
    def of(cls, node: Node) -> _Box:
        does = [line for said in node.said for line in wrapped(_shown(said), _WIDEST, _MOST)]
        return cls(node, does, packed(node.standing, _WIDEST, ", "))

    @property
    def size(self) -> Size:
        longest = max((columns(line) * _COLUMN for line in (*self.does, *self.stands)), default=0.0)
        width = max(columns(self.node.name) * _NAME_COLUMN, longest) + 2 * _INSIDE
        lines = 1 + len(self.does) + len(self.stands)
        return max(width, _LEAST_WIDTH), lines * _LEADING + 2 * _INSIDE + (_BAR if self.has_bar else -2)

    @property
    def has_bar(self) -> bool:
        return bool(self.node.counts) and self.node.kind is not Kind.INPUT


def svg_of(diagram: Diagram) -> str:
    """An SVG document in ASCII, with a title and a description for those who cannot see it."""
    boxes = {node.name: _Box.of(node) for node in diagram.nodes}
    places = placed(diagram, {name: box.size for name, box in boxes.items()})
    heading = _heading(diagram)
    width = max(places.size[0], columns(heading[0]) * _NAME_COLUMN, columns(heading[1]) * _COLUMN) + 2 * _MARGIN
    root = _root(diagram, (width, places.size[1] + _HEADER + 2 * _MARGIN))
    _text(root, (_MARGIN, _MARGIN + 12), heading[0], "name")
    _text(root, (_MARGIN, _MARGIN + 30), heading[1], "stands")
    shift = (width - places.size[0]) / 2
    all_of_it = SubElement(root, "g", {"transform": f"translate({shift:.1f} {_MARGIN + _HEADER:.1f})"})
    for points in places.edges.values():
        _draw_edge(all_of_it, points)
    for name, box in boxes.items():
        _draw_box(all_of_it, box, places.corners[name])
    indent(root, " ")
    drawn: bytes = tostring(root, encoding="us-ascii")
    return drawn.decode() + "\n"


def _heading(diagram: Diagram) -> tuple[str, str]:
    rows = diagram.nodes[0].rows
    return diagram.job, counted(len(diagram.stages), "stage") + ("" if rows is None else f", {counted(rows, 'row')}")


def _root(diagram: Diagram, size: Size) -> Element:
    width, height = (f"{side:.0f}" for side in size)
    root = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": width,
            "height": height,
            "viewBox": f"0 0 {width} {height}",
            "role": "img",
            "aria-labelledby": "batchrun-title batchrun-desc",
        },
    )
    SubElement(root, "title", {"id": "batchrun-title"}).text = f"Stages of {diagram.job}"
    SubElement(root, "desc", {"id": "batchrun-desc"}).text = " ".join(map(_described, diagram.stages))
    SubElement(root, "style").text = f"{_STYLE}{_bars(0)}@media (prefers-color-scheme: dark) {{{_DARK}{_bars(1)}}}\n"
    SubElement(root, "rect", {"class": "page", "width": "100%", "height": "100%"})
    return root


def _described(node: Node) -> str:
    stands = f"; {', '.join(node.standing)}" if node.standing else ""
    return f"{node.name} follows {' and '.join(node.needs)}{stands}."


def _bars(scheme: int) -> str:
    return "".join(f".bar.{name} {{ fill: {colours[scheme]} }}\n" for name, colours in _COLOURS.items())


def _draw_box(parent: Element, box: _Box, corner: Point) -> None:
    (x, y), (width, height) = corner, box.size
    group = SubElement(parent, "g", {"class": str(box.node.kind), "transform": f"translate({x:.1f} {y:.1f})"})
    SubElement(group, "title").text = _shown("\n".join([box.node.name, *box.node.said, *box.node.standing]))
    SubElement(group, "rect", {"class": "box", "width": f"{width:.1f}", "height": f"{height:.1f}", "rx": "8"})
    lines = [
        (box.node.name, "name"),
        *((line, "does") for line in box.does),
        *((line, "stands") for line in box.stands),
    ]
    for number, (line, kind) in enumerate(lines):
        _text(group, (_INSIDE, _INSIDE + 12 + number * _LEADING), line, kind)
    if box.node.counts and box.has_bar:
        _draw_bar(group, box.node.counts, (_INSIDE, height - _INSIDE), width - 2 * _INSIDE)


def _draw_bar(parent: Element, counts: Mapping[str, int], corner: Point, width: float) -> None:
    """How rows stand, as parts of a bar."""
    (x, y), rows = corner, sum(counts.values())
    for name in STANDINGS:
        if share := width * counts.get(name, 0) / rows:
            where = {"x": f"{x:.2f}", "y": f"{y:.1f}", "width": f"{share:.2f}", "height": f"{_BAR:.1f}"}
            SubElement(parent, "rect", {"class": f"bar {name}", **where})
            x += share


def _draw_edge(parent: Element, points: Sequence[Point]) -> None:
    *_, (x, y) = points
    tip = f"M{x:.1f} {y:.1f}l-4 -{_ARROW:.1f}h8z"
    SubElement(parent, "path", {"class": "edge", "d": "".join(_path(points))})
    SubElement(parent, "path", {"class": "arrow", "d": tip})


def _path(points: Sequence[Point]) -> Iterator[str]:
    """Straight down inside layers, in a curve between them, and up to the arrow's tip."""
    yield f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for number, (x, y) in enumerate(points[1:], 1):
        if number % 2:
            yield f"V{y:.1f}"
            continue
        (from_x, from_y), end = points[number - 1], y - _ARROW if number == len(points) - 1 else y
        middle = (from_y + end) / 2
        yield f"C{from_x:.1f} {middle:.1f} {x:.1f} {middle:.1f} {x:.1f} {end:.1f}"


def _text(parent: Element, at: Point, line: str, kind: str) -> None:
    where = {"class": kind, "x": f"{at[0]:.1f}", "y": f"{at[1]:.1f}"}
    if not line.isascii():  # fonts do not agree how wide it is
        where |= {"textLength": f"{columns(line) * _COLUMN:.1f}", "lengthAdjust": "spacingAndGlyphs"}
    SubElement(parent, "text", where).text = line


def _shown(text: str) -> str:
    return _NO_XML.sub("�", safe(text))
