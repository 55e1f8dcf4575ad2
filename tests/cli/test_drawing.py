"""The three forms of a drawing, on random diagrams and on jobs whose text means harm."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from unicodedata import category
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from batchrun.glyphs import columns
from batchrun.reports.drawing.diagram import Diagram, Kind, Node, diagram_of
from batchrun.reports.drawing.layers import placed
from batchrun.reports.drawing.mermaid import mermaid_of
from batchrun.reports.drawing.svg import svg_of
from batchrun.reports.drawing.text import text_of
from batchrun.spec.load import load_job

SVG = "{http://www.w3.org/2000/svg}"
SEEDS = range(60)
#: Ways out of an attribute, a label, a comment; a bidirectional override; text that is wide, tall and long.
HOSTILE = [
    '"]; click stage_a "javascript:alert(1)"; x["',
    "</title></desc></style><script>alert(1)</script>",
    "]]><!-- & &amp; &#60;b&#62; #lt;b#gt; `<b>*_~",
    "%%{init: {'securityLevel': 'loose'}}%%\n    stage_b --> stage_a",
    "\u202eevil\u202c\x1b[2J\x00\x9b31m\ufffe\uffff",
    "漢字" * 60,
    "Ž" + "\u0301" * 300,
    "W" * 5000,
    "end",
]


def random_diagram(seed: int) -> Diagram:
    """Stages that need one, two or three of those before; some have no follower, some many."""
    random = Random(seed)
    nodes = [Node("input", Kind.INPUT, 0, (), (("path", "rows.jsonl"),), {}, 40)]
    for number in range(random.randint(1, 14)):
        needs = random.sample(nodes, min(len(nodes), random.choice([1, 1, 1, 2, 3])))
        needs = nodes[:1] if nodes[0] in needs else needs
        layer = 1 + max(need.layer for need in needs)
        facts = (("model", "gemini-3.5-flash"), ("when", "x " * random.randint(1, 60)))
        counts = {"succeeded": random.randint(0, 10**6), "failed": random.randint(0, 2)}
        kind = random.choice([Kind.REQUEST, Kind.TRANSFORM])
        name = f"stage{number}" + "_" * random.choice([0, 0, 33])
        nodes.append(Node(name, kind, layer, tuple(need.name for need in needs), facts, counts, 1))
    return Diagram("random", tuple(sorted(nodes, key=lambda node: node.layer)))


def hostile_job(where: Path) -> Diagram:
    """A job each of whose stages says one hostile thing, in every place that takes any text."""
    stages: dict[str, Any] = {}
    for number, text in enumerate(HOSTILE):
        asked = {"agent" if number % 2 else "model": text, "input": "x"}
        stages[f"stage_{number}"] = {"request": asked, "when": f"x == {json.dumps(text)}", "needs": "input"}
    stages["end"] = {"batch": {"by": HOSTILE[1]}, "needs": "stage_0", "request": {"model": "m", "input": "x"}}
    spec = {"name": "x", "input": {"path": HOSTILE[0], "where": f"x != {json.dumps(HOSTILE[4])}"}, "stages": stages}
    (where / "job.json").write_text(json.dumps(spec))
    return diagram_of(load_job(where / "job.json"), {"stage_0": {"failed": 3}, "input": {"succeeded": 2}})


# -- text ------------------------------------------------------------------------------------------------------------


def edges_in(text: str, names: list[str]) -> list[tuple[str, str]]:
    """What a reader finds who follows the lines of a drawing in ASCII from the top down."""
    found, lanes = [], dict[int, str]()
    joined: set[int] | None = None
    for line in text.splitlines():
        gutter = line[: len(line) - len(line.lstrip("|+*#o.' -"))]
        at = re.search("[*#o]", gutter)
        if set(gutter) & {*"+.'"}:
            joined = {mark.start() for mark in re.finditer("[+']", gutter)}
        elif at is not None:
            name = next(name for name in names if re.search(rf" {name}(?: |$)", line))
            needs = {at.start()} & lanes.keys() if joined is None else joined
            found += [(lanes[lane], name) for lane in needs]
            lanes = {lane: lanes[lane] for lane in lanes if gutter[lane : lane + 1] == "|"} | {at.start(): name}
            joined = None
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_who_follows_the_lines_finds_what_each_stage_needs_and_no_more(seed: int) -> None:
    diagram = random_diagram(seed)
    found = edges_in(text_of(diagram, 200, "ascii"), [node.name for node in diagram.nodes])
    assert sorted(found) == sorted(diagram.edges)


@pytest.mark.parametrize("seed", SEEDS)
def test_lines_meet_in_every_cell(seed: int) -> None:
    downwards, upwards = "│╭╮├┤┬┼○●◆", "│╰╯├┤┴┼●◆"
    rightwards, leftwards = "─╭╰├┬┴┼", "─╮╯┤┬┴┼"
    gutters = [re.match("[│─╭╮╰╯├┤┬┴┼○●◆ ]*", line) for line in text_of(random_diagram(seed), 200).splitlines()]
    rows = [gutter[0] for gutter in gutters if gutter is not None]
    for above, below in pairwise(rows):
        for at, cell in enumerate(below):
            if cell in upwards:
                assert above[at : at + 1] in tuple(downwards), (above, below)
    for row in rows:
        for left, right in pairwise(row):
            assert (left in rightwards) == (right in leftwards) or {left, right} <= {*"│─", *rightwards, *leftwards}


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int, tmp_path: Path) -> None:
    drawings = [text_of(diagram, width) for diagram in map(random_diagram, SEEDS)]
    drawings.append(text_of(hostile_job(tmp_path), width))
    assert max(columns(line) for drawing in drawings for line in drawing.splitlines()) <= width


def test_no_hostile_text_moves_the_cursor_or_begins_a_line(tmp_path: Path) -> None:
    for line in text_of(hostile_job(tmp_path), 100).splitlines():
        assert not {category(character) for character in line} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        assert line[0] in "○●◆│├╰ "


# -- SVG -------------------------------------------------------------------------------------------------------------


def boxes(root: Element) -> list[tuple[Element, float, float, float, float]]:
    """The groups that are boxes, with x, y, width and height."""
    found = []
    for group in root.iter(f"{SVG}g"):
        rectangle = group.find(f"{SVG}rect[@class='box']")
        if rectangle is not None:
            x, y = re.findall(r"-?[\d.]+", group.attrib["transform"])
            found.append((group, float(x), float(y), *(float(rectangle.attrib[side]) for side in ("width", "height"))))
    return found  # type: ignore[return-value]


def widest(line: Element) -> float:
    """How wide a line of text is at most, in a font whose letters are six tenths as wide as high."""
    return columns(line.text or "") * 0.602 * (14 if line.attrib["class"] == "name" else 12)


@pytest.mark.parametrize("seed", SEEDS)
def test_text_stays_in_its_box_and_boxes_apart(seed: int) -> None:
    root = ElementTree.fromstring(svg_of(random_diagram(seed)))
    found = boxes(root)
    for group, _, _, width, height in found:
        lines = group.findall(f"{SVG}text")
        assert max(float(line.attrib["x"]) + widest(line) for line in lines) <= width
        bar = group.findall(f"{SVG}rect[@y]")
        assert max(float(line.attrib["y"]) for line in lines) < min([float(b.attrib["y"]) for b in bar] or [height])
    for number, (_, x, y, width, height) in enumerate(found):
        for _, other_x, other_y, other_width, other_height in found[:number]:
            beside = x + width < other_x or other_x + other_width < x
            assert beside or y + height < other_y or other_y + other_height < y


@pytest.mark.parametrize("seed", SEEDS)
def test_no_line_crosses_a_box(seed: int) -> None:
    diagram = random_diagram(seed)
    random = Random(seed)
    sizes = {node.name: (random.uniform(50, 300), random.uniform(30, 200)) for node in diagram.nodes}
    places = placed(diagram, sizes)
    tops = sorted({y for _, y in places.corners.values()})
    for (before, after), points in places.edges.items():
        for (x, y), (other_x, other_y) in list(pairwise(points))[::2]:
            assert x == other_x
            for name, (left, top) in places.corners.items():
                width, height = sizes[name]
                inside = left < x < left + width and y < top + height and other_y > top
                assert not inside, (before, after, name)
        for (_, y), (_, other_y) in list(pairwise(points))[1::2]:  # curves are between layers, where no box is
            assert other_y in tops
            assert all(top >= other_y or top + sizes[name][1] <= y for name, (_, top) in places.corners.items())


def test_a_chain_is_drawn_straight_and_branches_around_what_they_follow() -> None:
    chain = [Node("input", Kind.INPUT, 0, (), ())]
    chain += [Node(f"s{n}", Kind.REQUEST, n, (chain[-1].name if n == 1 else f"s{n - 1}",), ()) for n in (1, 2, 3)]
    chain += [Node(f"b{n}", Kind.REQUEST, 4, ("s3",), ()) for n in range(2)]
    places = placed(Diagram("x", tuple(chain)), {node.name: (100 + 10 * node.layer, 40) for node in chain})
    middle = {node.name: places.corners[node.name][0] + (100 + 10 * node.layer) / 2 for node in chain}
    assert middle["input"] == middle["s1"] == middle["s2"] == middle["s3"] == (middle["b0"] + middle["b1"]) / 2


def test_hostile_text_is_text_in_the_svg_and_nothing_else(tmp_path: Path) -> None:
    drawn = svg_of(hostile_job(tmp_path))
    assert drawn.isascii()
    root = ElementTree.fromstring(drawn)
    known = {"svg", "title", "desc", "style", "rect", "g", "text", "path"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == known
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not [name for name in attributes if name.startswith(("on", "{")) or "href" in name]
    style = root.find(f"{SVG}style")
    assert style is not None
    assert not re.search(r"url|import|alert", style.text or "")
    titles = "".join(title.text or "" for title in root.iter(f"{SVG}title"))
    assert all(" ".join(text.split()) in titles for text in (HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[3]))
    assert "\\u202eevil\\u202c\\x1b[2J\\x00\\x9b31m" in titles
    for group, _, _, width, _ in boxes(root):
        assert max(float(line.attrib["x"]) + widest(line) for line in group.findall(f"{SVG}text")) <= width


def test_an_svg_has_a_title_a_description_and_colours_for_dark_pages() -> None:
    root = ElementTree.fromstring(svg_of(random_diagram(1)))
    ids = {element.attrib["id"]: element for element in root if "id" in element.attrib}
    title, description = (ids[name] for name in root.attrib["aria-labelledby"].split())
    assert (root.attrib["role"], title.text) == ("img", "Stages of random")
    assert "stage0" in (description.text or "")
    assert "@media (prefers-color-scheme: dark)" in "".join(root.itertext())


# -- Mermaid ---------------------------------------------------------------------------------------------------------

_LABEL = r'(\(\["|\["|\(")(?:[\w .,:()-]|#\d+;|<br/>)*("\]\)|"\]|"\))'
_LINE = re.compile(rf"    (?:accTitle: [\w.-]+ \w+ [\w.-]+|stage_\w+{_LABEL}|stage_\w+ --> stage_\w+)", re.ASCII)


def labels(drawn: str) -> list[str]:
    """The texts of the nodes as Mermaid shows them."""
    found = re.findall(r'"(.*)"', drawn)
    return [re.sub(r"#(\d+);", lambda code: chr(int(code[1])), label.replace("<br/>", "\n")) for label in found]


def test_every_line_of_mermaid_is_a_node_or_an_edge_whatever_users_wrote(tmp_path: Path) -> None:
    diagram = hostile_job(tmp_path)
    first, *lines = mermaid_of(diagram).splitlines()
    assert first == "flowchart TD"
    assert [line for line in lines if not _LINE.fullmatch(line)] == []
    assert len(lines) == 1 + len(diagram.nodes) + len(diagram.edges)
    shown = "\n".join(labels(mermaid_of(diagram)))
    assert all(" ".join(text.split()) in shown for text in HOSTILE[:4])


@pytest.mark.parametrize("seed", SEEDS[:20])
def test_mermaid_has_every_stage_and_every_need(seed: int) -> None:
    diagram = random_diagram(seed)
    drawn = mermaid_of(diagram)
    assert re.findall(r"stage_(\w+) --> stage_(\w+)", drawn) == diagram.edges
    assert [label.split("\n")[0] for label in labels(drawn)] == [node.name for node in diagram.nodes]
