"""A diagram as lanes: one node below the other, and beside them a line for each output that is still needed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from batchrun.reports.drawing.diagram import Diagram, Node

#: The sides at which a line leaves a cell; a cell is a sum of these.
UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8


@dataclass(frozen=True, slots=True)
class Step:
    """A node and the cells around it, one for each lane, from the left.

    `links` is the row above the node, where lines branch and join; `beside` that of the node, which is at the lane
    `at`; `below` the rows below it.
    """

    node: Node
    at: int
    links: list[int]
    beside: list[int]
    below: list[int]


def steps(diagram: Diagram) -> Iterator[Step]:
    """Each node in its order. A line that ends at a node goes straight down to it, others branch off to it."""
    open_ends = Counter(need for need, _ in diagram.edges)
    lanes: list[str] = []
    for node in diagram.nodes:
        before = list(lanes)
        ending = [need for need in node.needs if open_ends[need] == 1]
        at = _lane(lanes, node, ending)
        lanes = [*lanes, ""] if at == len(lanes) else lanes
        links = _links(before, lanes, node, ending, at)
        open_ends.subtract(node.needs)
        beside = ["" if name in ending else name for name in lanes]
        lanes = [*beside[:at], node.name if open_ends[node.name] else "", *beside[at + 1 :]]
        yield Step(node, at, links, _straight(beside), _straight(lanes))
        while lanes and not lanes[-1]:
            lanes.pop()


def _lane(lanes: list[str], node: Node, ending: list[str]) -> int:
    """That of a line that ends here, else the first free one to the right of what it needs."""
    if ending:
        return min(lanes.index(need) for need in ending)
    first = min((lanes.index(need) for need in node.needs), default=-1)
    return next((at for at in range(first + 1, len(lanes)) if not lanes[at]), len(lanes))


def _links(before: list[str], lanes: list[str], node: Node, ending: list[str], at: int) -> list[int]:
    """The row in which the lines that a node needs come together at its lane."""
    joined = sorted({at, *(lanes.index(need) for need in node.needs)})
    cells = _straight(lanes)
    for lane in joined if len(joined) > 1 else ():
        taken_over = lane < len(before) and bool(before[lane])
        goes_on = lane == at or lanes[lane] not in ending
        cells[lane] = UP * taken_over + DOWN * goes_on + LEFT * (lane > joined[0]) + RIGHT * (lane < joined[-1])
    for lane in range(joined[0] + 1, joined[-1]):
        cells[lane] = cells[lane] or LEFT + RIGHT
    return cells


def _straight(lanes: list[str]) -> list[int]:
    return [UP + DOWN if name else 0 for name in lanes]
