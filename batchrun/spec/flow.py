"""What follows from rows that have ended: the one rule by which a pipeline goes on. Pure.

A row of a stage is ready when every stage that it needs has ended a row of its key. Groups have a rule of their own:
they begin when no row is left that may belong to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from batchrun.spec.graph import Graph

#: The column of a row's data that holds the outputs of the stages before it, by their names.
STAGES = "stages"

How = Literal["succeeded", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class Ended:
    """A row that has ended. `data` is what it was made of, `output` what came of it, `why` why nothing did."""

    how: How
    data: Mapping[str, Any] = field(default_factory=dict)
    output: Any = None
    why: str = ""

    def item(self, number: int) -> Ended:
        """As what follows sees one item of what a stage has split it into."""
        if self.how != "succeeded":
            return self
        return Ended("succeeded", self.data, self.output[number])

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The outputs of the stages before it."""
        found: Mapping[str, Any] = self.data.get(STAGES) or {}
        return found


@dataclass(frozen=True, slots=True)
class Due:
    """A row that is to be made. `why` says why it is skipped at once, and is empty for one that is to be carried."""

    stage: str
    key: str
    data: dict[str, Any]
    why: str = ""


#: Finds the row of a stage with a key, None where it has not ended yet.
Find = Callable[[str, str], Ended | None]


def following(graph: Graph, stage: str, key: str, ended: Ended, find: Find) -> Iterator[Due]:
    """The rows that can be made now that this one has ended, but for groups."""
    items = _items(graph, stage, key, ended)
    for name in graph.after[stage]:
        if graph.stages[name].batch is None:
            for item, _ in items:
                if (due := _due(graph, name, item, find)) is not None:
                    yield due


def _items(graph: Graph, stage: str, key: str, ended: Ended) -> list[tuple[str, Ended]]:
    """What follows sees: the row itself, or each item that it was split into. One that has none is seen as it is."""
    explodes = stage in graph.stages and graph.stages[stage].explode
    if not explodes or ended.how != "succeeded":
        return [(key, ended)]
    return [(f"{key}/{number}", ended.item(number)) for number in range(len(ended.output))]


def _due(graph: Graph, name: str, key: str, find: Find) -> Due | None:
    found = {need: _found(graph, need, key, find) for need in graph.before(name)}
    known = {need: ended for need, ended in found.items() if ended is not None}
    if len(known) < len(found):
        return None
    return Due(name, key, joined(graph, name, known), _skipped(known, key))


def _found(graph: Graph, need: str, key: str, find: Find) -> Ended | None:
    if need in graph.stages and graph.stages[need].explode:
        parent, _, number = key.rpartition("/")
        above = find(need, parent) if parent else None
        if above is not None and number.isdecimal():
            return above.item(int(number))
    return find(need, key)


def joined(graph: Graph, name: str, needs: Mapping[str, Ended]) -> dict[str, Any]:
    """What a row of a stage is made of: the columns of the input, and the outputs of the stages that it may read."""
    outputs: dict[str, Any] = {}
    for need, ended in needs.items():
        outputs |= ended.outputs
        outputs[need] = {"output": ended.output}
    columns = {column: value for ended in needs.values() for column, value in ended.data.items()}
    seen = {stage: outputs[stage] for stage in graph.seen(name) if stage in outputs}
    return {**columns, STAGES: seen}


def _skipped(needs: Mapping[str, Ended], key: str) -> str:
    """Why a row is skipped: one that it needs has failed, or all of them were skipped."""
    failed = next((f"{need}:{key} failed" for need, ended in needs.items() if ended.how == "failed"), "")
    if failed or any(ended.how == "succeeded" for ended in needs.values()):
        return failed
    return next(ended.why for ended in needs.values())
