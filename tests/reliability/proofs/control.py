"""Commands that steer a run, raced against it at random moments, with faults of the service and kill -9 of both."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

from batchrun.plurals import counted
from tests.processes import emulator
from tests.reliability.audit import Judge
from tests.reliability.figures import Figure
from tests.reliability.lives import End, Life
from tests.reliability.planted import Step, nothing
from tests.reliability.scenarios import Scenario

_COMMANDS_FULL, _OF_A_STORY = 200, 10
_ROWS = 150
_ROWS_HELD, _REFUSED, _TRY_LATER = 4, 65, 75
_JOB = Scenario({"input": "Say {{ word }}"}, limits={"posts": 4, "in_flight": 30, "rpm": 900})
#: Nothing here makes a POST of unknown fate: only a kill does.
_FAULTS = "429:0.05,503:0.02,slow=200ms:0.05,queued=3s:0.05,404_after_create=1s:0.05"
_WISHES = (
    ("pause",), ("pause",), ("resume",), ("resume",), ("set", "limits.rpm=3000"), ("set", "limits.rpm=600"),
    ("set", "limits.in_flight=5"), ("set", "limits.in_flight=60", "limits.tpm=null"), ("set", "limits.max_cost=1"),
    ("drain",), ("detach",),
)  # fmt: skip
#: What a command says that no process has answered.
_UNANSWERED = ("nobody runs", "did not answer in", "ended before it looked")
#: A POST that was let go before a pause may arrive a moment later.
_ON_ITS_WAY = 0.5


@dataclass(slots=True)
class Said:
    """A command that has ended: the wish's verb, and when it was started and over, in Unix seconds."""

    verb: str
    started: float
    over: float
    end: End

    @property
    def text(self) -> str:
        return (self.end.out or self.end.err.removeprefix("error: ")).strip()

    @property
    def answered(self) -> bool:
        return not any(words in self.text for words in _UNANSWERED)


class Story:
    """One run that is steered by `commands` commands, drawn from `wishes`. Its processes have the fault `planted`.

    Before the last `resume` it has `patience` seconds to end by itself, which a paused run does not.
    """

    def __init__(
        self,
        where: Path,
        url: str,
        seed: int,
        commands: int,
        *,
        rows: int,
        wishes: Sequence[tuple[str, ...]] = _WISHES,
        planted: Step = nothing,
        patience: float = 0,
    ) -> None:
        self.where, self._url, self._random, self._rows, self._planted = where, url, Random(seed), rows, planted
        self._patience = patience
        self._commands, self._wishes, self.judge = commands, wishes, Judge(where.parent / "ledger.jsonl")
        self._resumes: list[float] = []
        self.said: list[Said] = []
        self.kills = self.killed_commands = self.slots = self.lives = 0
        _JOB.write(where, rows)

    def faults(self) -> list[str]:
        """Live through it, and say what is wrong."""
        life = self._began()
        for _ in range(self._commands):
            if life.ends(self._random.uniform(0, 0.4)):
                life = self._next(life)
            self._say(self._random.choice(self._wishes))
            if self._random.random() < 0.15:
                self.kills += 1
                life.kill()
                life = self._next(life)
        life.ends(self._patience)
        self._say(("resume",), may_die=False)
        code = life.end().code
        while code == _TRY_LATER:  # drained, detached
            code = self._began().end().code
        return [*self._of_rows(code), *self._of_answers(), *self._of_pauses()]

    def _began(self) -> Life:
        self.lives += 1
        life = Life(self.where, "run", "job.json", "--base-url", self._url, "--quiet", first=self._planted)
        while not (self.where / "runs/job/run.db").exists() and not life.ends(0.01):
            pass
        return life

    def _next(self, life: Life) -> Life:
        """Another life after one that has ended, or was killed."""
        if life.end().code < 0:
            self.slots += self._open()
        return self._began()

    def _open(self) -> int:
        with closing(sqlite3.connect(self.where / "runs/job/run.db")) as db:
            try:
                return int(db.execute("SELECT count(*) FROM attempt WHERE state = 'intent'").fetchone()[0])
            except sqlite3.OperationalError:  # killed before there was a table
                return 0

    def _say(self, words: tuple[str, ...], *, may_die: bool = True) -> None:
        started = time.time()  # noqa: TID251
        self._resumes += [started] if words[0] == "resume" else []
        command = Life(self.where, words[0], "job.json", *words[1:])
        if may_die and self._random.random() < 0.2:
            command.ends(self._random.uniform(0, 0.3))
            command.kill()
        end = command.end()
        if end.code < 0:
            self.killed_commands += 1
        else:
            self.said.append(Said(words[0], started, time.time(), end))  # noqa: TID251

    def _of_rows(self, code: int) -> Iterator[str]:
        """Nothing is lost, nothing is paid twice, and no more is in doubt than was open at the kills."""
        held = int(json.loads((self.where / "runs/job/run.json").read_text())["ambiguous"])
        if code != (_ROWS_HELD if held else 0):
            yield f"it ended with {code}"
        if held > self.slots:
            yield f"{held} rows held, where {self.slots} may be"
        yield from self.judge.faults(self.where, rows=self._rows, doubts=held)

    def _of_answers(self) -> Iterator[str]:
        """What a command says was done is what the run has answered; what has no answer was told to have none."""
        with closing(sqlite3.connect(self.where / "runs/job/control.db")) as db:
            wishes = db.execute("SELECT verb, done, answer FROM wish").fetchall()
        answers = {(verb, done, answer) for verb, done, answer in wishes if answer is not None}
        for said in self.said:
            done = said.end.code == 0
            if said.end.code not in (0, _REFUSED, _TRY_LATER):
                yield f"{said.verb} ended with {said.end.code}: {said.text}"
            elif said.answered and (said.verb, int(done), said.text) not in answers:
                yield f"{said.verb} said {said.text!r}, which no run has answered"
        open_ = Counter(verb for verb, _, answer in wishes if answer is None)
        told = sum(not said.answered for said in self.said) + self.killed_commands
        if sum(open_.values()) > told:
            yield f"wishes have no answer, and nobody was told: {dict(open_)}"

    def _of_pauses(self) -> Iterator[str]:
        """Nothing is sent from a pause that was confirmed to the next `resume`, which may have died half done."""
        posts = [entry["time"] for entry in self.judge.posts(self.where)]
        for said in self.said:
            if said.verb == "pause" and said.end.code == 0:
                until = min((at for at in self._resumes if at > said.over), default=0.0)
                if sent := sum(said.over + _ON_ITS_WAY < at < until for at in posts):
                    yield f"{sent} POSTs in a pause of {until - said.over:.1f} s"


def prove(where: Path, *, full: bool) -> list[Figure]:
    stories = _COMMANDS_FULL // _OF_A_STORY if full else 1
    commands, rows = (_OF_A_STORY, _ROWS) if full else (3, 15)
    with emulator(where, "--latency", "lognormal:1s,0.5", "--faults", _FAULTS) as url:
        told = [Story(where / f"story-{seed}", url, seed, commands, rows=rows) for seed in range(stories)]
        faults = [f"story {seed}: {fault}" for seed, story in enumerate(told) for fault in story.faults()]
    return [_figure(told, faults, stories * commands)]


def _figure(told: Sequence[Story], faults: Sequence[str], commands: int) -> Figure:
    said = [said for story in told for said in story.said]
    unanswered, killed = sum(not each.answered for each in said), sum(story.killed_commands for story in told)
    kills, lives = sum(story.kills for story in told), sum(story.lives for story in told)
    note = f"{lives} lives of {counted(len(told), 'run')}; {unanswered} commands said that nobody had answered them"
    return Figure(
        "control commands raced against a run",
        f"{_COMMANDS_FULL}; rows lost 0, paid twice 0, sent in a pause 0; each wish answered, or told as not answered",
        f"{commands} commands, {kills} kills of runs, {killed} of commands, {len(faults)} faults",
        not faults,
        "; ".join(faults[:10]) or note,
    )
