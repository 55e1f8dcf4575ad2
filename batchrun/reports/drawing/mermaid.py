"""A diagram as Mermaid's flowchart text, for pages that draw it. What users wrote cannot leave its label. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from batchrun.glyphs import safe
from batchrun.reports.drawing.diagram import Diagram, Kind, Node

#: Characters that may mean something to Mermaid, to Markdown or to HTML: they are written by their numbers.
_MEANING = re.compile(r"[^\w .,:()-]|_", re.ASCII)
_SHAPES = {Kind.INPUT: '(["{}"])', Kind.REQUEST: '["{}"]', Kind.TRANSFORM: '("{}")'}
#: Longer values are cut.
_LONGEST = 200


def mermaid_of(diagram: Diagram) -> str:
    """A `flowchart` statement, a line for each node and each edge."""
    return "".join(f"{line}\n" for line in _lines(diagram))


def _lines(diagram: Diagram) -> Iterator[str]:
    yield "flowchart TD"
    yield f"    accTitle: Stages of {diagram.job}"
    for node in diagram.nodes:
        yield f"    {_id(node.name)}{_SHAPES[node.kind].format(_label(node))}"
    for before, after in diagram.edges:
        yield f"    {_id(before)} --> {_id(after)}"


def _id(name: str) -> str:
    """A name that is none of Mermaid's own words, as `end` is."""
    return f"stage_{name}"


def _label(node: Node) -> str:
    return "<br/>".join(_escaped(line) for line in (node.name, *node.said, ", ".join(node.standing)) if line)


def _escaped(text: str) -> str:
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return _MEANING.sub(lambda found: f"#{ord(found[0])};", safe(short))
