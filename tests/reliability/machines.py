"""A run in the hands of a user who does anything at any time, for hypothesis to play and to shorten."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from batchrun.aftercare.approval import plans, tell
from batchrun.aftercare.cancellation import cancel
from batchrun.engine.conversation import Word
from batchrun.errors import SpecError
from batchrun.runs.directory import EMULATED
from batchrun.runs.exports import export_all
from batchrun.runs.opening import open_run
from batchrun.runs.options import Options
from batchrun.runs.run import run
from tests.reliability import fates
from tests.reliability.clocks import Jump
from tests.reliability.fates import KINDS, Fate, Life
from tests.reliability.scratch import scratch
from tests.reliability.worlds import World

_MOST_ROWS = 16
_SEEDS = st.integers(0, 2**20)
_FAULTS = st.lists(_SEEDS, max_size=3)
_MORE = st.integers(0, 2)


class RunMachine(RuleBasedStateMachine):
    """Everything that can happen to one run directory. After each step the laws of `books` hold."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self._folder = scratch()

    @initialize(seed=_SEEDS, kind=st.sampled_from((*KINDS, "approval")), rows=st.integers(1, 4))
    def ingest(self, seed: int, kind: str, rows: int) -> None:
        random = Random(seed)
        spec = fates.job_spec(random, "plan" if kind == "approval" else kind)
        if kind == "approval":
            spec["request"] = {**spec["request"], "approve": "hold"}
        self.world = World(Path(self._folder.name), Fate(seed, kind, rows, spec, {"seed": 0}, "uniform:1s,30s"))

    @rule(faults=_FAULTS, more=_MORE, dies_at=st.integers(5, 200), after=st.sampled_from((0.0, 60.0)))
    def run_and_crash(self, faults: list[int], more: int, dies_at: int, after: float) -> None:
        self._live(Life(_rules(faults), dies_at=dies_at, after=after, more=more))

    @rule(faults=_FAULTS, more=_MORE, stops_at=st.integers(1, 12))
    def run_and_stop(self, faults: list[int], more: int, stops_at: int) -> None:
        self._live(Life(_rules(faults), stops_at=stops_at, more=more))

    @rule(faults=_FAULTS, more=_MORE)
    def run(self, faults: list[int], more: int) -> None:
        self._live(Life(_rules(faults), more=more))

    @rule()
    def retry(self) -> None:
        self._after(self.world.retry)

    @rule(go=st.booleans())
    def approve(self, go: bool) -> None:
        def say() -> None:
            if plans(self.world.directory)[0]:
                tell(self.world.job, self.world.directory, [], Word(go, "" if go else "Shorter."), self._now)

        self._after(say)

    @rule()
    def cancel(self) -> None:
        world = self.world
        service = Options(world.directory.path, emulator=world.service(Life()), looks=None)
        world.clocks.dies_at = None
        self._after(lambda: cancel(world.job, world.directory, service, (), world.clocks.wall, world.clocks.run))

    @rule(place=st.integers(0, 7))
    def edit(self, place: int) -> None:
        """A row that was sent cannot be changed: nothing is sent, and nothing is different when it is put right.

        One that was only refused may be, for nothing was paid.
        """
        world = self.world
        row = world.rows[place % len(world.rows)]
        before = row["word"]
        row["word"] = f"{before}x"
        world.write_rows()
        if row["id"] in {attempt.key for attempt in world.books().attempts if attempt.live}:
            sent = len(world.books().lines)
            assert isinstance(self._refusal(), SpecError)
            assert len(world.books().lines) == sent
            row["word"] = before
            world.write_rows()

    @rule(seconds=st.sampled_from((-86_400.0, -3_600.0, 3_600.0, 86_400.0)), asleep=st.booleans())
    def jump(self, seconds: float, asleep: bool) -> None:
        clocks = self.world.clocks
        clocks.jumps.append(Jump(clocks.now, abs(seconds) if asleep else seconds, asleep))

    @rule()
    def export(self) -> None:
        """The output files can be made again at any time, of the checkpoint alone."""
        world = self.world

        def again() -> None:
            with open_run(world.job, world.directory, EMULATED) as opened:
                for path in world.directory.path.glob("*.parquet"):
                    path.unlink()
                export_all(opened)

        self._after(again)

    @invariant()
    def no_law_is_broken(self) -> None:
        if hasattr(self, "world"):
            assert not self.world.broken, self.world.broken

    def teardown(self) -> None:
        self._folder.cleanup()

    @property
    def _now(self) -> float:
        return self.world.clocks.wall()

    def _after(self, act: Callable[[], Any]) -> None:
        """Do what can be done to a run that has begun, and look at the books."""
        if self.world.began:
            act()
            self.world.check(ended=False)

    def _live(self, life: Life) -> None:
        """The input grows before most runs, or there would soon be nothing left to go wrong."""
        if len(self.world.rows) < _MOST_ROWS:
            self.world.grow(life.more)
        self.world.live(life)

    def _refusal(self) -> Exception | None:
        world = self.world
        options = Options(world.directory.path, emulator=world.service(Life()), looks=None)
        try:
            run(world.job, options, world.clocks.wall, run_async=world.clocks.run)
        except SpecError as error:
            return error
        return None


def _rules(seeds: list[int]) -> tuple[Any, ...]:
    return tuple(fates.rule(Random(seed)) for seed in seeds)
