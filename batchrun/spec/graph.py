"""The order of stages, and what the keys of each name. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from batchrun.errors import SpecError
from batchrun.spec.stages import INPUT, ROWS, STAGES, StageSpec

#: What keys name, from the outside in: `("input",)`, `("input", "pages")` below a stage that splits its rows,
#: `("batch by doc",)` for groups. Stages of one level have rows with the same keys.
Level = tuple[str, ...]
GROUPS, ALL_ROWS = "groups by ", "all rows"


class GraphError(SpecError):
    """Stages that cannot be put together. `path` is where the file says so, `said` what is wrong with it."""

    def __init__(self, path: tuple[str, ...], said: str) -> None:
        super().__init__(f"{'.'.join(path)}: {said}")
        self.path, self.said = path, said


@dataclass(frozen=True)
class Graph:
    """The stages of a job by name, in the order in which they are written. Raises GraphError for a cycle, say."""

    stages: Mapping[str, StageSpec]

    def __post_init__(self) -> None:
        for name, stage in self.stages.items():
            self._check_needs(name, stage)
        _ = self._levels
        for name in self.order:
            self._check_by(name)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """All stages but the input, each after those that it needs; otherwise as they are written."""
        sorter = TopologicalSorter({name: self.before(name) for name in self.stages})
        try:
            found = tuple(sorter.static_order())
        except CycleError as error:
            circle = " → ".join(reversed(error.args[1]))
            raise GraphError(("stages",), f"they need one another in a circle: {circle}") from None
        depth = {INPUT: 0}
        for name in found:
            if name != INPUT:
                depth[name] = 1 + max(depth[before] for before in self.before(name))
        return tuple(sorted(self.stages, key=lambda name: depth[name]))

    def before(self, name: str) -> tuple[str, ...]:
        """The stages that a stage needs, INPUT among them."""
        return self.stages[name].needed

    @cached_property
    def after(self) -> Mapping[str, tuple[str, ...]]:
        """The stages that need each stage (and INPUT)."""
        return {
            name: tuple(other for other in self.order if name in self.before(other)) for name in (INPUT, *self.order)
        }

    def explodes(self, name: str) -> bool:
        """Whether what follows a stage follows from each item that it has split a row into."""
        return name != INPUT and self.stages[name].explode

    def below(self, name: str) -> tuple[str, ...]:
        """The stages that need a stage, directly or not, in their order."""
        return self._below[name]

    @cached_property
    def _below(self) -> Mapping[str, tuple[str, ...]]:
        return {name: self._found_below(name) for name in (INPUT, *self.order)}

    def _found_below(self, name: str) -> tuple[str, ...]:
        found: set[str] = set()
        for other in self.order:
            if found.union((name,)).intersection(self.before(other)):
                found.add(other)
        return tuple(other for other in self.order if other in found)

    def above(self, name: str) -> tuple[str, ...]:
        """The stages that a stage needs, directly or not, INPUT first."""
        return self._above[name]

    @cached_property
    def _above(self) -> Mapping[str, tuple[str, ...]]:
        every = (INPUT, *self.order)
        return {name: tuple(other for other in every if name in self.below(other)) for name in every}

    def seen(self, name: str) -> tuple[str, ...]:
        """The stages whose outputs a row of a stage has one of each of: those above it, up to the nearest batch."""
        return self._seen[name]

    @cached_property
    def _seen(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {INPUT: ()}
        for name in self.order:
            needs = [need for need in self.before(name) if need != INPUT]
            each = {one for need in needs for one in (*(() if self.stages[need].batch else found[need]), need)}
            found[name] = tuple(one for one in self.order if one in each)
        return found

    @cached_property
    def keeps_input(self) -> bool:
        """Whether the rows of the input are kept as rows of INPUT, which have ended: where a batch takes them."""
        return any(self.stages[name].batch is not None for name in self.after[INPUT])

    @cached_property
    def first(self) -> str:
        """A stage that has a row for each row of the input."""
        return INPUT if self.keeps_input else self.after[INPUT][0]

    @cached_property
    def continued(self) -> frozenset[str]:
        """The stages whose interactions others go on from."""
        return frozenset(stage.continues for stage in self.stages.values() if stage.continues)

    @cached_property
    def last(self) -> tuple[str, ...]:
        """The stages that no other needs."""
        return tuple(name for name in self.order if not self.after[name])

    def level(self, name: str) -> Level:
        """What the keys of a stage name."""
        return self._levels[name]

    @cached_property
    def _levels(self) -> Mapping[str, Level]:
        """Raises GraphError where a stage joins others of different levels."""
        found: dict[str, Level] = {INPUT: (INPUT,)}
        for name in self.order:
            found[name] = self._found_level(name, found)
        return found

    def _found_level(self, name: str, above: Mapping[str, Level]) -> Level:
        stage = self.stages[name]
        levels = {need: self._level_below(need, above[need]) for need in self.before(name)}
        if len(set(levels.values())) > 1:
            first, other = next((a, b) for a in levels for b in levels if levels[a] != levels[b])
            raise GraphError(
                ("stages", name, "needs"),
                f"the keys of {first!r} and {other!r} name different things "
                f"({_shown(levels[first])}; {_shown(levels[other])}); take the finer one together by a `batch` first",
            )
        if stage.batch is not None:
            return (f"{GROUPS}{stage.batch.by!r}" if stage.batch.by else ALL_ROWS,)
        return next(iter(levels.values()))

    def _level_below(self, name: str, level: Level) -> Level:
        """The level of what follows a stage of this level."""
        return (*level, name) if self.explodes(name) else level

    def _check_by(self, name: str) -> None:
        """Rows of a batch have of the columns of the input only the one that they are grouped by."""
        batch = self.stages[name].batch
        if batch is None or batch.by is None:
            return
        for other in self.above(name):
            before = None if other == INPUT else self.stages[other].batch
            if before is not None and before.by != batch.by:
                raise GraphError(
                    ("stages", name, "batch", "by"), f"the rows of the batch {other!r} have no column {batch.by!r}"
                )

    def _check_needs(self, name: str, stage: StageSpec) -> None:
        if not stage.needed:
            raise GraphError(("stages", name, "needs"), "name a stage, or leave it out for the rows of the input")
        if INPUT in stage.needed and len(stage.needed) > 1:
            raise GraphError(
                ("stages", name, "needs"), f"leave {INPUT!r} out: the columns of the input are always there"
            )
        if stage.batch is not None and len(stage.needed) > 1:
            raise GraphError(("stages", name, "needs"), "a batch takes the rows of one stage; join them in one before")
        if stage.batch is not None and '"' in (stage.batch.by or ""):
            raise GraphError(("stages", name, "batch", "by"), "a column whose name has a quotation mark cannot be used")
        if stage.batch is not None and stage.batch.by in (ROWS, STAGES):
            raise GraphError(
                ("stages", name, "batch", "by"), f"every batch has {stage.batch.by!r} of its own: rename the column"
            )
        for need in stage.needed:
            if need != INPUT and need not in self.stages:
                close = get_close_matches(need, [INPUT, *self.stages], 1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise GraphError(("stages", name, "needs"), f"there is no stage {need!r}{hint}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.order)


def _shown(level: Level) -> str:
    whole, *items = level
    first = "rows of the input" if whole == INPUT else whole
    return " › ".join([first, *(f"items of {part!r}" for part in items)])
