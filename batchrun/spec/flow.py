"""What follows from rows that have ended: the one rule by which a pipeline goes on. Pure.

A row of a stage is ready when every stage that it needs has ended a row of its key. Groups have a rule of their own:
they begin when no row is left that may belong to them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from batchrun.rows import Finish, Outcome
from batchrun.spec.graph import Graph
from batchrun.spec.stages import INPUT, ROWS, STAGES

#: Error classes of rows that are skipped: left out by a condition, lacking what they need, left out by a transform.
#: Held is what only the user can decide about.
LEFT_OUT, UPSTREAM_FAILED, UPSTREAM_HELD, FILTERED = "left_out", "upstream_failed", "upstream_held", "filtered"


class How(Enum):
    """How a row has ended, for what follows from it. A row that lacks what it needs counts as failed."""

    SUCCEEDED = auto()
    LEFT_OUT = auto()
    FAILED = auto()
    HELD = auto()


@dataclass(frozen=True, slots=True)
class Ended:
    """A row that has ended. `data` is what it was made of, `output` what came of it, `why` why nothing did: of a
    failure its cause, named so that whatever lacks it can tell."""

    how: How
    data: Mapping[str, Any] = field(default_factory=dict)
    output: Any = None
    why: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else templates find beside its output."""

    def item(self, number: int) -> Ended:
        """As what follows sees one item of what a stage has split it into."""
        if self.how is not How.SUCCEEDED:
            return self
        return Ended(self.how, self.data, self.output[number], more=self.more)

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The outputs of the stages before it."""
        found = self.data.get(STAGES)
        return found if isinstance(found, dict) else {}  # it may be a column of a row that was refused for it


@dataclass(frozen=True, slots=True)
class Due:
    """A row that is to be made; with an `end` it is skipped at once."""

    stage: str
    key: str
    data: dict[str, Any]
    end: Finish | None = None


#: Finds the row of a stage with a key, None where it has not ended yet.
Find = Callable[[str, str], Ended | None]


def following(graph: Graph, stage: str, keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The rows to look at now that one of a stage has ended, by stage and key, but for groups. `keys` are those of its
    `items`."""
    each = tuple(keys)
    for name in graph.after[stage]:
        if graph.stages[name].batch is None:
            yield from ((name, key) for key in each)


#: The last part of the key by which what follows knows a row that should have been split, and was not.
NO_ITEM = "-"


def items(graph: Graph, stage: str, key: str, ended: Ended) -> list[tuple[str, Ended]]:
    """What follows sees, by its key: the row itself, or each item that it was split into."""
    if not graph.explodes(stage):
        return [(key, ended)]
    if ended.how is not How.SUCCEEDED:
        return [(f"{key}/{NO_ITEM}", ended)]
    return [(f"{key}/{number}", ended.item(number)) for number in range(len(ended.output))]


def due(graph: Graph, name: str, key: str, find: Find) -> Due | None:
    """A row of a stage that is no batch, None where one that it needs has not ended."""
    found = {need: _found(graph, need, key, find) for need in graph.before(name)}
    known = {need: ended for need, ended in found.items() if ended is not None}
    if len(known) < len(found):
        return None
    return Due(name, key, joined(graph, name, known), skipped(known.values()))


def _found(graph: Graph, need: str, key: str, find: Find) -> Ended | None:
    above = find(need, key_above(graph, need, key))
    if not graph.explodes(need):
        return above
    item = key.rpartition("/")[2]
    if above is None or above.how is not How.SUCCEEDED:
        return above if item == NO_ITEM else None
    return above.item(int(item)) if item.isdecimal() and int(item) < len(above.output) else None


def key_above(graph: Graph, need: str, key: str) -> str:
    """The key by which a needed stage knows what a row with this key is made of: of an item, that of the whole."""
    return key.rpartition("/")[0] if graph.explodes(need) else key


def made_of(graph: Graph, stage: str, key: str) -> Collection[tuple[str, str]]:
    """The rows that one is made of, directly or not, by stage and key, each once; of a group none, for it has many."""
    found: dict[tuple[str, str], None] = {}
    left = [(stage, key)]
    while left:
        name, at = left.pop()
        needs = graph.before(name) if graph.stages[name].batch is None else ()
        rows = {(need, key_above(graph, need, at)): None for need in needs if need != INPUT}
        left += rows.keys() - found.keys()
        found |= rows
    return found.keys()


def joined(graph: Graph, name: str, needs: Mapping[str, Ended]) -> dict[str, Any]:
    """What a row of a stage is made of: the columns of the input, and the outputs of the stages that it may read.

    Nothing, where a row of the input could not be read.
    """
    if not all(ended.data or need == INPUT for need, ended in needs.items()):
        return {}
    outputs: dict[str, Any] = {}
    for need, ended in needs.items():
        outputs |= ended.outputs
        outputs[need] = {"output": ended.output, **(ended.more if need in graph.continued else {})}
    columns: dict[str, Any] = {}
    for need, ended in needs.items():
        columns |= ended.data
        if need in graph.stages and graph.stages[need].batch is not None:
            columns.pop(ROWS, None)  # its rows are not its followers'
    seen = {stage: outputs[stage] for stage in graph.seen(name) if stage in outputs}
    return {**columns, STAGES: seen}


def skipped(needs: Collection[Ended]) -> Finish | None:
    """The end of a row that cannot be carried: what it needs has failed or is held, or all of it was left out."""
    for how, kind in ((How.FAILED, UPSTREAM_FAILED), (How.HELD, UPSTREAM_HELD)):
        if (lacking := next((ended for ended in needs if ended.how is how), None)) is not None:
            return Finish(Outcome.SKIPPED, kind, lacking.why)
    if any(ended.how is How.SUCCEEDED for ended in needs):
        return None
    return Finish(Outcome.SKIPPED, LEFT_OUT, next(ended.why for ended in needs))
