"""A daemon over a year of virtual time, killed between any two steps, away, asleep, its clock set: by one integer."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from random import Random

from batchrun.schedule.verdicts import State
from tests.daemon.shifts import Post, Work
from tests.reliability.clocks import Clocks, Died, Jump

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
#: Seconds after the clocks' epoch, 2026-11-22 at 13:00 UTC. No slot begins just then.
_ODD = 7 * MINUTE + 31
CRONS = (
    "30 2 * * *", "0 * * * *", "0 9 * * 1-5", "*/30 * * * *", "0 0 * * *", "15,45 1-3 * * *", "0 6 1 * *", "45 1 * * 0",
)  # fmt: skip
ZONES = (
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca",
    "Asia/Kolkata", "Pacific/Chatham",
)  # fmt: skip
#: Each job's time between two slots, about: what a long run is compared with.
_BETWEEN = dict(zip(CRONS, (DAY, HOUR, DAY, HOUR / 2, DAY, HOUR / 2, 30 * DAY, 7 * DAY), strict=True))


@dataclass(frozen=True)
class Rota:
    """One job's schedule. `jitter` in seconds."""

    name: str
    cron: str
    zone: str
    catch_up: str
    overlap: str
    jitter: int


@dataclass(frozen=True)
class Stretch:
    """Wall time that one life of the daemon lasted; by `jumped` seconds clocks were set meanwhile, to and fro."""

    began: float
    ended: float
    jumped: float

    @property
    def latest(self) -> float:
        """No clock of this life has shown more."""
        return max(self.began, self.ended) + self.jumped


class _Clocks(Clocks):
    """These lives may be long."""

    _endless = False


class Year:
    """Nine jobs, of each pair of policies one, from `start` (seconds after the epoch) on, for so many days.

    In the last `tail` seconds everything comes to its end. `pulse` (seconds) is how often the daemon looks about;
    slots are decided about at their times all the same.
    """

    def __init__(self, where: Path, seed: int, start: float, days: float, pulse: float = 6 * HOUR) -> None:
        self.random = Random(seed)
        self.where, self._image, self._ends = where, where / "image", start + days * DAY
        self.tail = min(days, 12.0) * DAY
        self.clocks = _Clocks(died=self._photograph)
        self.clocks.now = start + _ODD
        self.rotas = [self._rota(*pair) for pair in product(("none", "latest", "all"), ("skip", "queue", "replace"))]
        self.work = Work(self._takes, self._how_it_ends)
        (where / "jobs").mkdir()
        self.post = Post(where / "jobs", self.clocks, self.work, pulse=pulse, every=6 * HOUR, at_once=6)
        self.stretches: list[Stretch] = []
        self.deaths = 0
        self._end = 0.0, 0.0
        self._tried: set[tuple[str, str]] = set()
        for rota in self.rotas:
            policies = {"catch_up": rota.catch_up, "overlap": rota.overlap, "jitter": rota.jitter}
            self.post.write(rota.name, rota.cron, timezone=rota.zone, **policies)

    @property
    def began(self) -> datetime:
        return datetime.fromtimestamp(self.stretches[0].began, UTC)

    def live(self) -> None:
        """All its lives; in the last one everything comes to its end."""
        self._life(HOUR, None)
        while self.clocks.now < self._ends:
            self._jump()
            self._life(*self._fate())
            self.clocks.now += self._outage()
        self._life(self.tail, None)

    def _fate(self) -> tuple[float, int | None]:
        """How long a life may last, and its last step if it is not to be that long."""
        if self.random.random() < 0.5:
            return 10 * DAY, self.random.randint(1, self.random.choice((20, 100, 600)))
        return self.random.choice((5 * MINUTE, HOUR, DAY, 3 * DAY)) * self.random.random(), 10_000_000

    def _life(self, seconds: float, dies_at: int | None) -> None:
        """One life; one with a last step ends by its death, whichever comes first."""
        began, before = self.clocks.wall(), self._jumped()
        self.clocks.dies_at = dies_at
        self.clocks.dies_when = None if dies_at is None else self.clocks.now + seconds
        killer = self.random.uniform(0, 2 * DAY)
        try:
            self.post.live(seconds + 1, (killer, self._kill_one))
        except Died:
            self.deaths += 1
            self._lie_down()
        else:
            self._end = self.clocks.wall(), self._jumped()
        self.stretches.append(Stretch(began, self._end[0], self._end[1] - before))

    def _jumped(self) -> float:
        return sum(abs(jump.seconds) for jump in self.clocks.jumps if jump.at <= self.clocks.now)

    def _kill_one(self) -> None:
        """A child dies by itself."""
        self.post.shifts[-1].kill()

    def _jump(self) -> None:
        if self.random.random() < 0.15:
            seconds = self.random.choice((-2 * HOUR, -50.0, 90.0, 2 * HOUR, 30 * HOUR)) * self.random.random()
            asleep = seconds > 0 and self.random.random() < 0.5
            self.clocks.jumps.append(Jump(self.clocks.now + self.random.uniform(0, 6 * HOUR), seconds, asleep))

    def _outage(self) -> float:
        most = self.random.choice((0.0, 5.0, 90.0, 10 * MINUTE, 5 * HOUR, 3 * DAY))
        return most * self.random.random()

    # -- the jobs ------------------------------------------------------------------------------------------------------

    def _rota(self, catch_up: str, overlap: str) -> Rota:
        cron, zone, jitter = (self.random.choice(each) for each in (CRONS, ZONES, (0, 0, 600)))
        return Rota(f"{catch_up}-{overlap}", str(cron), str(zone), catch_up, overlap, int(jitter))

    def _takes(self, job: str, slot: str) -> float:
        """Most slots take a moment, some longer than the time to the next one."""
        random = Random(f"{job} {slot}")
        between = _BETWEEN[next(rota.cron for rota in self.rotas if rota.name == job)]
        return random.choice((5.0, 30.0, 300.0, 0.3 * between, min(1.6 * between, 2 * DAY)))

    def _how_it_ends(self, job: str, slot: str) -> State:
        """Some slots have to be tried twice, some wait for the user."""
        drawn, first = Random(f"end {job} {slot}").random(), (job, slot) not in self._tried
        self._tried.add((job, slot))
        return State.HELD if drawn < 0.05 else State.BLOCKED if drawn < 0.1 and first else State.DONE

    # -- deaths --------------------------------------------------------------------------------------------------------

    def _photograph(self) -> None:
        """The disk as a death leaves it. Time may go on until the loop has been cleared away."""
        self._end = self.clocks.wall(), self._jumped()
        shutil.copytree(self.post.where, self._image)

    def _lie_down(self) -> None:
        shutil.rmtree(self.post.where)
        self._image.rename(self.post.where)


def whole_minutes(wall: float) -> datetime:
    return datetime.fromtimestamp(wall - wall % MINUTE, UTC)


def slot_time(name: str) -> datetime:
    return datetime.strptime(name, "%Y-%m-%dT%H%MZ").replace(tzinfo=UTC)
