"""A pipeline's run with everything round it, through lives that end anyhow and edits between them."""

from __future__ import annotations

import json
import math
import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from batchrun.emulator import EmulatorSettings, parse_latency, read_ledger
from batchrun.emulator.faults import Rule
from batchrun.engine.events import Ended, Event, Observer, Started, Stopping, ignore
from batchrun.runs.directory import RunDir
from batchrun.runs.options import Options
from batchrun.runs.run import Result, retry, run
from batchrun.spec.load import load_job
from tests.pipelines import oracle
from tests.pipelines.plans import Plan, edited, plan_of
from tests.pipelines.steps import model
from tests.reliability.clocks import Clocks, Died, Endless

#: Faults that end no row for good, but where a POST may be in doubt.
PASSING = (
    "429", "429_retry_info", "500", "503", "502_html", "reset_before", "drop_before", "drop_after", "reset_after",
    "truncate", "500_created", "garbage_200", "slow", "404_after_create",
)  # fmt: skip
#: Faults that end rows, which the user has tried again.
ENDING = ("failed", "incomplete", "cancelled", "no_steps", "expired")
ENDS = ["failed", "invalid_output", "incomplete", "blocked", "ambiguous"]


@dataclass(frozen=True, slots=True)
class Life:
    """One process's life, before which the plan becomes another one."""

    plan: Plan
    edit: str = ""
    faults: tuple[Rule, ...] = ()
    dies_at: int | None = None
    stops_at: int | None = None
    retried: bool = False


@dataclass(frozen=True, slots=True)
class Fate:
    """All that a seed decides."""

    seed: int
    lives: tuple[Life, ...]
    limits: dict[str, int]
    latency: str


def fate_of(seed: int) -> Fate:
    """The same for the same seed. One in four has no edits, one in four no deaths and faults."""
    random = Random(seed)
    plan = plan_of(random)
    edits, harm = seed % 4 != 0, seed % 4 != 1
    lives = []
    for number in range(random.randint(2, 5)):
        names = []
        while edits and number and random.random() < 0.5 and len(names) < 3:
            name, plan = edited(random, plan)
            names.append(name)
        lives.append(_life(random, plan, ", ".join(names), harm=harm))
    limits = {"posts": random.randint(1, 3), "in_flight": random.randint(1, 5)}
    return Fate(seed, tuple(lives), limits, random.choice(("0ms", "3s", "uniform:1s,30s")))


def _life(random: Random, plan: Plan, edit: str, *, harm: bool) -> Life:
    end = random.choice(("dies", "dies", "stops", "lives")) if harm else "lives"
    return Life(
        plan,
        edit,
        tuple(_rule(random) for _ in range(random.randint(0, 2))) if harm else (),
        round(math.exp(random.uniform(math.log(5), math.log(600)))) if end == "dies" else None,
        random.randint(1, 30) if end == "stops" else None,
        harm and random.random() < 0.3,
    )


def _rule(random: Random) -> Rule:
    kind = random.choice(PASSING if random.random() < 0.7 else ENDING)
    on: Any = random.choice(("post", "get")) if kind in ("429", "500", "503") else "post"
    when: dict[str, Any] = random.choice(
        ({"rate": 0.3}, {"nth": frozenset(random.sample(range(1, 9), 2))}, {"times": 1})
    )
    return Rule(kind, on=on, **when)


class Flow:
    """`where` is an empty directory. `broken` are the laws that were broken, in words."""

    def __init__(self, where: Path, seed: int, limits: dict[str, int] | None = None, latency: str = "3s") -> None:
        self.where, self.seed, self.limits, self.latency = where, seed, limits or {}, latency
        self.clocks = Clocks(died=self._photograph)
        self.directory = RunDir(where / "run")
        self.broken: list[str] = []
        self._image = where / "image"
        self.plan: Plan | None = None

    def write(self, plan: Plan) -> None:
        """The user's files."""
        self.plan = plan
        document = {**plan.document(), **({"limits": self.limits} if self.limits else {})}
        self._write("job.json", json.dumps(document))
        self._write("rows.jsonl", "".join(f"{line.text}\n" for line in plan.lines))
        self._write("steps.py", plan.module())

    def _write(self, name: str, text: str) -> None:
        """What has not changed is left alone: an input with another time is read again."""
        path = self.where / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)

    def live(self, life: Life, *, accept: bool = True) -> Result | None:
        """One life; what came of it, None if it died."""
        self.write(life.plan)
        self.clocks.dies_at = life.dies_at
        service = self.service(life)
        options = Options(self.directory.path, emulator=service, seed=self.seed, accept_change=accept, looks=None)
        try:
            job = load_job(self.where / "job.json")
            return run(job, options, self.clocks.wall, _stopping(life.stops_at), self.clocks.run)
        except Died:
            shutil.rmtree(self.directory.path)
            self._image.rename(self.directory.path)
        except Endless as error:
            self.broken.append(f"a life without an end: {error}")
        except Exception as error:
            self.broken.append(f"a life broke: {type(error).__name__}: {error}")
        return None

    def retry(self, *keys: str) -> int:
        """What `batchrun retry` does, for all rows without keys; how many rows are pending again."""
        again = retry(load_job(self.where / "job.json"), self.directory, ENDS, [*keys], self.clocks.wall())
        return again.to_poll + again.to_send

    def service(self, life: Life) -> EmulatorSettings:
        return EmulatorSettings(
            latency=parse_latency(self.latency),
            faults=life.faults,
            ledger=self.where / "ledger.jsonl",
            state=self.where / "service.db",
            clock=self.clocks.service,
            replies=model,
        )

    def _photograph(self) -> None:
        shutil.copytree(self.directory.path, self._image)

    def _db(self) -> sqlite3.Connection:
        return sqlite3.connect(self.directory.checkpoint)

    def rows(self) -> dict[str, tuple[str | None, str | None, str, Any]]:
        """Outcome, error class, message and output of each row that is part of the run."""
        with closing(self._db()) as db:
            found = db.execute("SELECT key, outcome, error_class, error_message, output FROM row WHERE seen != 0")
            return {
                key: (outcome, kind, message or "", None if output is None else json.loads(output))
                for key, outcome, kind, message, output in found
            }

    def pending(self) -> int:
        return sum(outcome is None for outcome, *_ in self.rows().values())

    def held(self, plan: Plan) -> int:
        """How many rows have ended as only faults of the service make them end."""
        wanted = expected(plan)
        return sum(
            outcome in ENDS and (key not in wanted or wanted[key].outcome != outcome)
            for key, (outcome, *_) in self.rows().items()
        )

    def attempts(self) -> list[dict[str, Any]]:
        with closing(self._db()) as db:
            db.row_factory = sqlite3.Row
            query = """SELECT attempt.*, row.key, row.outcome, row.seen FROM attempt JOIN row ON row.id = row_id"""
            return [dict(row) for row in db.execute(query)]

    def payments(self) -> list[tuple[str, str]]:
        """What was billed: row and request of each payment, in the order of payment."""
        known = {each["intent_key"]: (each["key"], each["request_sha"]) for each in self.attempts()}
        path = self.where / "ledger.jsonl"
        billed = [line for line in read_ledger(path) if line["billed"]] if path.exists() else []
        return [known.get(line["labels"]["batchrun-intent"], ("nobody", line["id"])) for line in billed]

    def standing(self) -> set[tuple[str, str]]:
        """Rows, and the request of each, whose answer was fetched and stands."""
        return {
            (each["key"], each["request_sha"])
            for each in self.attempts()
            if each["superseded_at"] is None and each["state"] == "fetched" and each["outcome"] == "succeeded"
        }

    def doubts(self) -> Counter[tuple[str, str]]:
        """How many POSTs of unknown fate each request of a row had."""
        return Counter((each["key"], each["request_sha"]) for each in self.attempts() if each["state"] == "ambiguous")


def _stopping(stops_at: int | None) -> Observer:
    if stops_at is None:
        return ignore
    left = [stops_at]

    def observe(event: Event) -> None:
        left[0] -= not isinstance(event, Started | Stopping | Ended)
        if left[0] == 0:
            left[0] = -1
            signal.raise_signal(signal.SIGINT)

    return observe


def differences(flow: Flow, plan: Plan) -> Iterator[str]:
    """Where the tables are not those that the plan wants."""
    wanted = expected(plan)
    found = flow.rows()
    for key in sorted({*wanted, *found}):
        if key not in found:
            yield f"{key} is not there: {wanted[key].outcome}"
        elif key not in wanted:
            yield f"{key} should not be there: {found[key]}"
        else:
            yield from _difference(key, wanted[key], found[key])


def _difference(key: str, row: oracle.Row, found: tuple[str | None, str | None, str, Any]) -> Iterator[str]:
    outcome, kind, message, output = found
    if outcome != row.outcome or (row.kind != oracle.ANY and kind != row.kind):
        yield f"{key} is {outcome} ({kind}: {message}), wanted {row.outcome} ({row.kind} {row.why})"
    elif row.outcome == "skipped" and row.why != oracle.ANY and not _same(message, row.why):
        yield f"{key} is skipped because of {message!r}, wanted {row.why!r}"
    elif output != row.output:
        yield f"{key} has output {output!r}, wanted {row.output!r}"


def _same(message: str, why: str) -> bool:
    return message == why or (why.endswith(f"({oracle.ANY})") and message.startswith(why[: -len(oracle.ANY) - 2]))


def expected(plan: Plan) -> dict[str, oracle.Row]:
    """The rows that there must be, by their keys in the checkpoint."""
    kept = any(step.by and step.needs == ("input",) for step in plan.steps)
    found = oracle.tables(plan)
    return {
        f"{stage}:{key}": row
        for stage, table in found.items()
        if stage != "input" or kept
        for key, row in table.items()
    }


@dataclass(frozen=True, slots=True)
class History:
    """What came of a seed."""

    seed: int
    broken: tuple[str, ...]
    lives: int = 0
    deaths: int = 0
    edits: int = 0
    posts: int = 0
    rows: int = 0


_HEALED = 4


def lived(flow: Flow, fate: Fate) -> History:
    """All lives of a fate, and healthy ones after them until nothing is pending."""
    deaths = retried = 0
    for number, life in enumerate(fate.lives):
        deaths += _period(flow, life, first=not number) is None
        if flow.broken:
            break
    last = Life(fate.lives[-1].plan)
    for number in range(_HEALED):
        if flow.broken or (number and not flow.pending() and not flow.held(last.plan)):
            break
        flow.write(last.plan)
        if flow.held(last.plan):
            retried += flow.retry() > 0
        _period(flow, last, first=False)
    if not flow.broken:
        flow.broken += list(differences(flow, last.plan))
        flow.broken += list(overpaid(flow, fate, retried))
    edits = sum(bool(life.edit) for life in fate.lives)
    paid, rows = len(flow.payments()), len(flow.rows())
    return History(fate.seed, tuple(flow.broken), len(fate.lives), deaths, edits, paid, rows)


def _period(flow: Flow, life: Life, *, first: bool) -> Result | None:
    """A life, with what it may pay for held against what stood before it."""
    if first or not flow.directory.checkpoint.exists():
        return flow.live(life)
    flow.write(life.plan)
    if life.retried:
        flow.retry()
    standing, paid = flow.standing(), len(flow.payments())
    result = flow.live(life)
    for key, sha in flow.payments()[paid:]:
        if (key, sha) in standing:
            flow.broken.append(
                f"{key} was paid for again, and it had the answer to the same request (edit: {life.edit})"
            )
    return result


def overpaid(flow: Flow, fate: Fate, retried: int) -> Iterator[str]:
    """Requests that were paid for more often than anything explains."""
    again = sum(life.retried for life in fate.lives) + retried
    edits = sum(bool(life.edit) for life in fate.lives)
    doubts = flow.doubts()
    for (key, sha), times in Counter(flow.payments()).items():
        if key == "nobody":
            yield f"{sha} was billed without an attempt on record"
        elif times > 1 + doubts[key, sha] + again + edits:
            yield f"{key} was paid for {times} times with {doubts[key, sha]} in doubt, {again} retries, {edits} edits"
    if not edits and not again:
        wanted = {key for key, row in expected(fate.lives[-1].plan).items() if row.asked and row.outcome != "failed"}
        if (paid := {key for key, _ in flow.payments()}) != wanted:
            yield f"paid for {sorted(paid - wanted)} needlessly, not for {sorted(wanted - paid)}"
