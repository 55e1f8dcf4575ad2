"""Where boxes and lines of a diagram go on a page: layers from the top down, with few crossings. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from statistics import fmean

from batchrun.reports.drawing.diagram import Diagram

#: A box (twice its stage's name), or where the line from one stage to another passes a layer; and the layer.
Item = tuple[str, str, int]
Edge = tuple[str, str]
#: Width and height, and x and y, in pixels.
Size = tuple[float, float]
Point = tuple[float, float]

#: Between items of a layer, between layers, and what a line that passes a layer takes of its width.
_BESIDE, _BELOW, _LINE = 28.0, 52.0, 4.0
_SWEEPS = 12


@dataclass(frozen=True, slots=True)
class Placed:
    """The upper left corner of each box, and for each edge the points that it goes through; `size` is that of all.

    From its first point an edge runs straight down to the second, then over to the third, straight down to the
    fourth, and so on; it ends by running over to a box.
    """

    corners: Mapping[str, Point]
    edges: Mapping[Edge, Sequence[Point]]
    size: Size


def placed(diagram: Diagram, sizes: Mapping[str, Size]) -> Placed:
    """Boxes of these sizes in their places. No two overlap, and no line crosses a box."""
    plan = _Plan.of(diagram, sizes)
    plan.untangle()
    centres, tops, bottoms = plan.centres(), *plan.rows()
    corners = {
        item[0]: (centres[item] - plan.widths[item] / 2, tops[item[2]]) for item in centres if item[0] == item[1]
    }
    edges = {edge: list(plan.points(chain, centres, tops, bottoms)) for edge, chain in plan.chains.items()}
    width = max(centres[item] + plan.widths[item] / 2 for item in centres)
    return Placed(corners, edges, (width, bottoms[-1]))


@dataclass
class _Plan:
    """The items of each layer from the left, those that each edge goes through, and the neighbours of each."""

    sizes: Mapping[str, Size]
    layers: list[list[Item]]
    chains: dict[Edge, list[Item]]
    widths: dict[Item, float] = field(default_factory=dict)
    above: dict[Item, list[Item]] = field(default_factory=lambda: defaultdict(list))
    below: dict[Item, list[Item]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, diagram: Diagram, sizes: Mapping[str, Size]) -> _Plan:
        at = {node.name: node.layer for node in diagram.nodes}
        chains = {
            (before, after): [
                (before, before, at[before]),
                *((before, after, layer) for layer in range(at[before] + 1, at[after])),
                (after, after, at[after]),
            ]
            for before, after in diagram.edges
        }
        items = dict.fromkeys([*((name, name, at[name]) for name in at), *(i for c in chains.values() for i in c)])
        layers: list[list[Item]] = [[] for _ in range(1 + max(at.values()))]
        for item in items:
            layers[item[2]].append(item)
        plan = cls(sizes, layers, chains, {i: sizes[i[0]][0] if i[0] == i[1] else _LINE for i in items})
        for upper, lower in (pair for chain in chains.values() for pair in pairwise(chain)):
            plan.below[upper].append(lower)
            plan.above[lower].append(upper)
        return plan

    def untangle(self) -> None:
        """Order each layer by its neighbours above, then below, and so on; keep the order with fewest crossings."""
        best, fewest = [list(layer) for layer in self.layers], self._crossings()
        for sweep in range(_SWEEPS):
            near = self.below if sweep % 2 else self.above
            for layer in reversed(self.layers) if sweep % 2 else self.layers:
                place = {item: float(n) for each in self.layers for n, item in enumerate(each)}
                layer.sort(key=lambda item: _mean(near[item], place, place[item]))
            if (found := self._crossings()) < fewest:
                best, fewest = [list(layer) for layer in self.layers], found
        self.layers = best

    def _crossings(self) -> int:
        place = {item: n for layer in self.layers for n, item in enumerate(layer)}
        count = 0
        for layer in self.layers:
            lines = [(place[item], place[other]) for item in layer for other in self.below[item]]
            count += sum(a < c and b > d for a, b in lines for c, d in lines)
        return count

    def centres(self) -> dict[Item, float]:
        """The x of each item's middle: near those of its neighbours, the leftmost item at the left edge."""
        found = {item: 0.0 for layer in self.layers for item in layer}
        for near in (self.above, self.below) * _SWEEPS + (self.above,):  # the last one: what follows is right below
            for layer in reversed(self.layers) if near is self.below else self.layers:
                wanted = [_mean(near[item], found, found[item]) for item in layer]
                found |= zip(layer, _apart(wanted, self._distances(layer)), strict=True)
        left = min(x - self.widths[item] / 2 for item, x in found.items())
        return {item: x - left for item, x in found.items()}

    def _distances(self, layer: list[Item]) -> list[float]:
        """The least distance of each item from the first of its layer."""
        steps = ((self.widths[a] + self.widths[b]) / 2 + _BESIDE for a, b in pairwise(layer))
        return list(accumulate(steps, initial=0.0))

    def rows(self) -> tuple[list[float], list[float]]:
        """The y at which each layer begins and ends."""
        heights = [max(self.sizes[i[0]][1] for i in layer if i[0] == i[1]) for layer in self.layers]
        bottoms = list(accumulate(heights, lambda y, height: y + _BELOW + height))
        return [bottom - height for bottom, height in zip(bottoms, heights, strict=True)], bottoms

    def points(
        self, chain: list[Item], centres: Mapping[Item, float], tops: Sequence[float], bottoms: Sequence[float]
    ) -> Iterator[Point]:
        """What an edge goes through, from below its first box to above its last."""
        first, *_, last = chain
        yield centres[first], tops[first[2]] + self.sizes[first[0]][1]
        yield centres[first], bottoms[first[2]]
        for item in chain[1:-1]:
            yield centres[item], tops[item[2]]
            yield centres[item], bottoms[item[2]]
        yield centres[last], tops[last[2]]


def _mean(items: list[Item], place: Mapping[Item, float], otherwise: float) -> float:
    return fmean(place[item] for item in items) if items else otherwise


def _apart(wanted: Sequence[float], least: Sequence[float]) -> list[float]:
    """Places in the same order as near to the wanted ones as can be, by least squares, and far enough apart.

    `least` are the distances from the first. Without them this is isotonic regression: neighbours in the wrong order
    are put at their mean, and moved on as one.
    """
    blocks: list[tuple[float, int]] = []
    for place, distance in zip(wanted, least, strict=True):
        mean, count = place - distance, 1
        while blocks and blocks[-1][0] > mean:
            before, several = blocks.pop()
            mean, count = (mean * count + before * several) / (count + several), count + several
        blocks.append((mean, count))
    means = [mean for mean, count in blocks for _ in range(count)]
    return [mean + distance for mean, distance in zip(means, least, strict=True)]
