"""The order of stages, and what the keys of each name. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from batchrun.errors import SpecError
from batchrun.spec.stages import INPUT, StageSpec

#: What keys name, from the outside in: `("input",)`, `("input", "pages")` below a stage that splits its rows,
#: `("batch by doc",)` for groups. Stages of one level have rows with the same keys.
Level = tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """The stages of a job by name, in the order in which they are written. Raises SpecError for a cycle, say."""

    stages: Mapping[str, StageSpec]

    def __post_init__(self) -> None:
        for name, stage in self.stages.items():
            self._check_needs(name, stage)
        for name in self.order:
            _ = self.level(name)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """All stages but the input, each after those that it needs; otherwise as they are written."""
        sorter = TopologicalSorter({name: self.before(name) for name in self.stages})
        try:
            found = tuple(sorter.static_order())
        except CycleError as error:
            raise SpecError(f"stages need one another in a circle: {' → '.join(reversed(error.args[1]))}") from None
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

    def below(self, name: str) -> tuple[str, ...]:
        """The stages that need a stage, directly or not, in their order."""
        found: set[str] = set()
        for other in self.order:
            if found.union((name,)).intersection(self.before(other)):
                found.add(other)
        return tuple(other for other in self.order if other in found)

    def above(self, name: str) -> tuple[str, ...]:
        """The stages that a stage needs, directly or not, INPUT first."""
        return tuple(other for other in (INPUT, *self.order) if name in self.below(other))

    def seen(self, name: str) -> tuple[str, ...]:
        """The stages whose outputs a row of a stage has one of each of: those above it, up to the nearest batch."""
        found = dict.fromkeys(each for need in self.before(name) for each in (*self._of_one_row(need), need))
        return tuple(each for each in self.order if each in found)

    def _of_one_row(self, name: str) -> tuple[str, ...]:
        return () if name == INPUT or self.stages[name].batch is not None else self.seen(name)

    @cached_property
    def last(self) -> tuple[str, ...]:
        """The stages that no other needs."""
        return tuple(name for name in self.order if not self.after[name])

    def level(self, name: str) -> Level:
        """What the keys of a stage name. Raises SpecError where it joins stages of different levels."""
        if name == INPUT:
            return (INPUT,)
        stage = self.stages[name]
        levels = {need: self._below_level(need) for need in self.before(name)}
        if len(set(levels.values())) > 1:
            first, other = next((a, b) for a in levels for b in levels if levels[a] != levels[b])
            raise SpecError(
                f"stages.{name}.needs: the keys of {first!r} and {other!r} name different things "
                f"({_shown(levels[first])} and {_shown(levels[other])}); take the finer one together by a `batch` first"
            )
        if stage.batch is not None:
            return (f"groups by {stage.batch.by!r}" if stage.batch.by else "all rows",)
        return next(iter(levels.values()))

    def _below_level(self, name: str) -> Level:
        """The level of what follows a stage."""
        explodes = name != INPUT and self.stages[name].explode
        return (*self.level(name), name) if explodes else self.level(name)

    def _check_needs(self, name: str, stage: StageSpec) -> None:
        if not stage.needed:
            raise SpecError(f"stages.{name}.needs: name a stage, or leave it out for the rows of the input")
        if INPUT in stage.needed and len(stage.needed) > 1:
            raise SpecError(f"stages.{name}.needs: leave {INPUT!r} out: the columns of the input are always there")
        for need in stage.needed:
            if need != INPUT and need not in self.stages:
                close = get_close_matches(need, [INPUT, *self.stages], 1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise SpecError(f"stages.{name}.needs: there is no stage {need!r}{hint}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.order)


def _shown(level: Level) -> str:
    return " › ".join("rows of the input" if part == INPUT else f"items of {part!r}" for part in level)
