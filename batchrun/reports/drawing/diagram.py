"""What there is to draw of a job: its stages in layers, what each does, what it needs, and how its rows stand. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from batchrun.plurals import counted
from batchrun.rows import Outcome
from batchrun.spec.asking import RequestSpec
from batchrun.spec.load import Job
from batchrun.spec.stages import INPUT, StageSpec

#: How rows stand, in the order in which people are told.
STANDINGS = (*(str(outcome) for outcome in Outcome), "in_flight", "pending")
#: The one stage of a job without stages.
REQUEST = "request"

#: Rows of each stage by how they stand.
Tallies = Mapping[str, Mapping[str, int]]


class Kind(StrEnum):
    INPUT = "input"
    REQUEST = "request"
    TRANSFORM = "transform"


@dataclass(frozen=True, slots=True)
class Node:
    """A stage, or the input. `facts` are what it does, each with its name in the job file.

    `counts` are its rows by how they stand, each in one of STANDINGS; None without a run. `rows` is their sum; of the
    input it is known also where its rows are those of other stages, and `counts` empty.
    """

    name: str
    kind: Kind
    layer: int
    needs: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    counts: Mapping[str, int] | None = None
    rows: int | None = None

    @property
    def said(self) -> list[str]:
        """What it does: `model: gemini-3.5-flash`."""
        return [f"{name}: {' '.join(value.split())}" for name, value in self.facts]

    @property
    def standing(self) -> list[str]:
        """How its rows stand: `38 succeeded`. Nothing without a run."""
        if self.counts is None:
            return []
        told = [name for name in STANDINGS if self.counts.get(name)]
        if self.kind is Kind.INPUT:
            told = [name for name in told if name != Outcome.SUCCEEDED]
            return [counted(self.rows or 0, "row"), *(self._counted(name) for name in told)]
        return [self._counted(name) for name in told] or ["no rows yet"]

    def _counted(self, standing: str) -> str:
        return f"{(self.counts or {})[standing]:,} {standing.replace('_', ' ')}"

    def document(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "name": self.name,
            "kind": str(self.kind),
            "layer": self.layer,
            "needs": list(self.needs),
            "does": dict(self.facts),
            "rows": self.rows,
            "counts": None if self.counts is None else dict(self.counts),
        }


@dataclass(frozen=True, slots=True)
class Diagram:
    """The input and the stages of a job, each after those that it needs, layer by layer. `notes` are for below it."""

    job: str
    nodes: tuple[Node, ...]
    notes: tuple[str, ...] = ()

    @property
    def edges(self) -> list[tuple[str, str]]:
        """What each needs: pairs of what comes before and what after."""
        return [(need, node.name) for node in self.nodes for need in node.needs]

    @property
    def stages(self) -> tuple[Node, ...]:
        return self.nodes[1:]

    def document(self) -> dict[str, Any]:
        """The same as JSON values."""
        start, *stages = (node.document() for node in self.nodes)
        return {"job": self.job, "input": start, "stages": stages, "notes": list(self.notes)}


def diagram_of(job: Job, tallies: Tallies | None) -> Diagram:
    """What there is to draw of a job, with the counts of its run if there is one."""
    found = [_input(job, tallies)]
    layers = {INPUT: 0}
    for name, needs, kind, facts in _stages(job):
        layers[name] = 1 + max(layers[need] for need in needs)
        counts = None if tallies is None else tallies.get(name if job.graph else "", {})
        rows = None if counts is None else sum(counts.values())
        found.append(Node(name, kind, layers[name], needs, facts, counts, rows))
    return Diagram(job.spec.name, tuple(found), tuple(_notes(job, tallies or {})))


_Facts = tuple[tuple[str, str], ...]


def _stages(job: Job) -> Iterator[tuple[str, tuple[str, ...], Kind, _Facts]]:
    if job.graph is None:
        yield REQUEST, (INPUT,), Kind.REQUEST, tuple(_asked(job.spec.request))
        return
    for name in job.graph:
        stage = job.graph.stages[name]
        kind = Kind.REQUEST if stage.transform is None else Kind.TRANSFORM
        yield name, job.graph.before(name), kind, tuple(_done(stage))


def _input(job: Job, tallies: Tallies | None) -> Node:
    spec = job.spec.input
    facts = {"path": spec.path, "where": spec.where, "limit": f"{spec.limit:,}" if spec.limit else None}
    given = tuple((name, value) for name, value in facts.items() if value)
    if tallies is None:
        return Node(INPUT, Kind.INPUT, 0, (), given)
    counts = tallies.get(INPUT, {}) if job.graph else {}
    return Node(INPUT, Kind.INPUT, 0, (), given, counts, sum(counts.values()) or _read(job, tallies))


def _read(job: Job, tallies: Tallies) -> int:
    """The rows of the input, which each stage that reads it has a row of."""
    if job.graph is None:
        return sum(tallies.get("", {}).values())
    readers = (name for name in job.graph.after[INPUT] if job.graph.stages[name].batch is None)
    return max((sum(tallies.get(name, {}).values()) for name in readers), default=0)


def _done(stage: StageSpec) -> Iterator[tuple[str, str]]:
    """What a stage does with each row, in the words of the job file."""
    if stage.request is not None:
        yield from _asked(stage.request)
    if stage.transform is not None:
        yield "transform", stage.transform
    if stage.explode:
        yield "explode", "each item is a row"
    if stage.batch is not None:
        left_out = ", failed rows left out" if stage.batch.failed == "leave_out" else ""
        yield "batch", (f"by {stage.batch.by}" if stage.batch.by else "all rows") + left_out
    if stage.when is not None:
        yield "when", stage.when
    if stage.continues is not None:
        yield "continue", stage.continues


def _asked(request: RequestSpec) -> Iterator[tuple[str, str]]:
    if request.agent:
        yield "agent", request.agent
    else:
        yield "model", request.model or "as each row says"


def _notes(job: Job, tallies: Tallies) -> Iterator[str]:
    """Rows that the run has of what the job has no more."""
    known = {INPUT, *job.graph} if job.graph else {""}
    for name, counts in tallies.items():
        if name not in known:
            of = f"the stage {name!r}" if name else "the single request"
            yield f"The run has {counted(sum(counts.values()), 'row')} of {of}, which the job no longer has."
