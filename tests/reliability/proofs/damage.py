"""A checkpoint that is damaged while no process looks: flipped bytes, cut files, files that are gone or older copies.

    python -m tests.reliability.proofs.damage SEED…

repeats seeds, and prints what was done and what came of it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa

from batchrun.aftercare.recovery import recover
from batchrun.aftercare.verification import verify
from batchrun.emulator import EmulatorSettings, parse_latency
from batchrun.emulator.outcome import Outcome
from batchrun.emulator.prompts import Prompt, plain_text
from batchrun.emulator.rules.request import Order
from batchrun.errors import BatchrunError, Exit
from batchrun.runs.directory import RunDir
from batchrun.runs.options import Options
from batchrun.runs.run import Result, run
from batchrun.spec.load import load_job
from batchrun.store.reader import Reader
from tests.reliability.books import text_of
from tests.reliability.clocks import Clocks, Died
from tests.reliability.figures import Figure
from tests.reliability.scratch import scratch

COMMAND = "python -m tests.reliability.proofs.damage"
ROWS = 30
_CHUNK = 10
_KINDS = ("single", "turns")
#: How the run stood when it was damaged: killed at a step of its loop with its WAL, stopped in order, or complete.
_STANDS = ("killed", "stopped", "complete")
#: What a run may end with, besides success, for which it needs no advice.
_EXPLAINED = (Exit.SOME_ROWS_FAILED, Exit.ROWS_HELD)


@dataclass(frozen=True, slots=True)
class Fate:
    """What came of a seed. `how` is what was damaged and how, `end` how the next run ended, `again` are rows that were
    paid for again in silence, `wrong` is all else that must not be."""

    seed: int
    how: str
    end: str
    again: tuple[str, ...]
    wrong: tuple[str, ...]


def prove(where: Path, *, full: bool) -> list[Figure]:
    """200 kinds of damage, or 1,000 in full, on all processors."""
    return figures(list(fates(range(1_000 if full else 200))))


def figures(known: list[Fate]) -> list[Figure]:
    """The figures of these seeds; what is wrong is printed with the command that repeats it."""
    bad = [each for each in known if each.again or each.wrong]
    for each in bad:
        print(f"{COMMAND} {each.seed}    # {each.how}: {(*each.again, *each.wrong)[0]}", file=sys.stderr)
    again, wrong = sum(bool(each.again) for each in known), sum(bool(each.wrong) for each in known)
    ends = ", ".join(f"{count:,} {end}" for end, count in Counter(each.end for each in known).most_common())
    return [
        Figure(
            "damaged checkpoints: with a row paid again in silence",
            f"0 of {len(known):,}",
            f"{again} of {len(known):,}",
            not again,
            f"the same command again ended: {ends}",
        ),
        Figure(
            "damaged checkpoints: without advice, with a lost row or an altered answer",
            f"0 of {len(known):,}",
            f"{wrong} of {len(known):,}",
            not wrong,
            "where `batchrun recover` is advised, it is used, and the run completed",
        ),
    ]


def fates(seeds: Iterable[int]) -> Iterator[Fate]:
    """What comes of each seed, on all processors."""
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), pa.set_cpu_count, (1,)) as pool:
        yield from pool.map(fate_of, seeds, chunksize=_CHUNK)


def fate_of(seed: int) -> Fate:
    """Damage a run and go on with it."""
    random = Random(seed)
    stand, kind = random.choice(_STANDS), random.choice(_KINDS)
    with scratch() as folder:
        began = Beginning(Path(folder) / "job", kind, stand, random.randrange(5))
        began.restore()
        how = damage(began.directory.path, random)
        return Aftermath(began, seed, f"{kind}, {stand}: {how}").fate()


def damage(directory: Path, random: Random) -> str:
    """Do one thing to one of a run's files; returns what."""
    files = [path for path in sorted(directory.rglob("*")) if path.is_file() and path.stat().st_size]
    weights = [6 if path.name.startswith("run.db") else 3 if path.name == "run.ledger" else 1 for path in files]
    path = random.choices(files, weights)[0]
    size = path.stat().st_size
    match random.choices(("flip", "byte", "zero", "cut", "gone"), (8, 4, 2, 3, 1))[0]:
        case "cut":
            left = random.randrange(size)
            os.truncate(path, left)
            return f"{path.name} cut from {size:,} to {left:,} bytes"
        case "gone":
            path.unlink()
            return f"{path.name} gone"
        case "zero":
            at = random.randrange(size) // 512 * 512
            return _written(path, at, bytes(min(512, size - at)))
        case "byte":
            return _written(path, random.randrange(size), random.randbytes(1))
        case _:
            at = random.randrange(size)
            return _written(path, at, bytes([path.read_bytes()[at] ^ 1 << random.randrange(8)]))


def _written(path: Path, at: int, content: bytes) -> str:
    with path.open("r+b") as file:
        file.seek(at)
        before = file.read(len(content))
        file.seek(at)
        file.write(content)
    return f"{path.name} at {at:,}: {before[:4]!r} now {content[:4]!r}"


class Beginning:
    """A run that has begun and is not damaged yet, beside the service that it was made against. Made once a process."""

    def __init__(self, where: Path, kind: str, stand: str, number: int) -> None:
        self.where = where
        self._origin = _origin(kind, stand, number)
        self.directory = RunDir(where / "runs" / "job")

    def restore(self) -> None:
        shutil.copytree(self._origin, self.where)


@cache
def _origin(kind: str, stand: str, number: int) -> Path:
    folder = scratch()
    _KEPT.append(folder)
    where = Path(folder.name) / "job"
    where.mkdir()
    write_job(where, kind)
    image = where.with_name("image")
    clocks = Clocks(died=lambda: _photograph(where, image, clocks.now))
    if stand != "complete":
        clocks.dies_at = 60 + 90 * number
    with suppress(Died):
        go_on(where, clocks)
    (where / "now").write_text(str(clocks.now))
    return image if stand == "killed" and image.exists() else where


def _photograph(where: Path, image: Path, now: float) -> None:
    shutil.copytree(where, image)
    (image / "now").write_text(str(now))


_KEPT: list[Any] = []
_REQUESTS: dict[str, dict[str, Any]] = {
    "single": {"model": "gemini-3.5-flash", "input": "Say {{ word }}"},
    "turns": {"model": "gemini-3.5-flash", "turns": ["Say {{ word }}", "Say again {{ word }}"]},
}


def write_job(where: Path, kind: str) -> None:
    spec = {
        "name": "job",
        "input": {"path": "rows.jsonl", "key": "id"},
        "request": _REQUESTS[kind],
        "limits": {"posts": 3, "in_flight": 12},
        "retry": {"ambiguous": {"model": "hold"}},
    }
    (where / "job.json").write_text(json.dumps(spec))
    rows = [json.dumps({"id": f"r{n}", "word": f"number r{n}"}) for n in range(ROWS)]
    (where / "rows.jsonl").write_text("".join(f"{row}\n" for row in rows))


class Echo:
    """Answers with what was asked, and writes down what was paid for."""

    def __init__(self, paid: Path) -> None:
        self._paid = paid

    def __call__(self, order: Order, prompt: Prompt, made: Callable[[], Outcome]) -> Outcome:
        asked = plain_text(order.body["input"])
        with self._paid.open("a") as file:
            file.write(f"{asked}\n")
        text = {"type": "text", "text": f"Said {asked.split()[-1]}."}
        return replace(made(), steps=[{"type": "model_output", "content": [text]}])


def go_on(where: Path, clocks: Clocks) -> Result:
    """The same command, whenever it is used."""
    service = EmulatorSettings(
        latency=parse_latency("uniform:1s,30s"),
        replies=Echo(where / "paid"),
        state=where / "service.db",
        clock=clocks.service,
        seed=1,
    )
    options = Options(where / "runs" / "job", emulator=service, seed=7, looks=None)
    return run(load_job(where / "job.json"), options, clocks.wall, run_async=clocks.run)


class Aftermath:
    """The same command again, `recover` where it is advised, and what the service was paid for meanwhile."""

    def __init__(self, began: Beginning, seed: int, how: str) -> None:
        self._where, self._directory, self._seed, self._how = began.where, began.directory, seed, how
        self._clocks = Clocks()
        self._clocks.now = float((began.where / "now").read_text())
        self._wrong: list[str] = []

    def fate(self) -> Fate:
        end = self._go_on()
        if end.startswith("refused") and "batchrun recover" in end:
            end = f"recovered: {self._recover()}"
        elif end.startswith("refused"):
            self._wrong.append(f"no advice: {end}")
        if "refused" not in end:
            self._wrong += self._unsaid()
        return Fate(self._seed, self._how, end[:40], tuple(self._again()), tuple(self._wrong))

    def _go_on(self) -> str:
        """How the run ends."""
        try:
            result = go_on(self._where, self._clocks)
        except BatchrunError as error:
            if error.exit_code is Exit.INTERNAL:
                self._wrong.append(f"ended as our own failure: {error}")
            return f"refused with {error.exit_code.value}: {error}"
        except Exception as error:
            self._wrong.append(f"a traceback: {error!r}")
            return "refused by a traceback: batchrun recover"
        if (stopped := result.stopped_by) is not None:
            if stopped.exit_code is Exit.INTERNAL:
                self._wrong.append(f"ended as our own failure: {stopped}")
            return f"refused with {stopped.exit_code.value}: {stopped}"
        return f"completed with {result.exit_code.value}"

    def _recover(self) -> str:
        try:
            recover(load_job(self._where / "job.json"), self._directory, self._clocks.wall())
        except BatchrunError as error:
            return f"refused with {error.exit_code.value}: {error}"
        except Exception as error:
            self._wrong.append(f"a traceback of recover: {error!r}")
            return "refused by a traceback"
        end = self._go_on()
        if end.startswith("refused"):
            self._wrong.append(f"after recover: {end}")
        return end

    def _again(self) -> Iterator[str]:
        paid = Counter((self._where / "paid").read_text().splitlines())
        yield from (f"{what!r} was paid {count} times" for what, count in paid.items() if count > 1)

    def _unsaid(self) -> list[str]:
        """What is wrong with a run that says it is complete, where `verify` finds nothing either."""
        try:
            if verify(self._directory).differences:
                return []
        except BatchrunError:
            return []
        except Exception as error:
            return [f"a traceback of verify: {error!r}"]
        return list(self._results())

    def _results(self) -> Iterator[str]:
        """Rows that are lost, and answers that are not what the service said."""
        with Reader(self._directory.checkpoint) as reader:
            rows = list(reader.rows())
        if [row.key for row in rows] != [f"r{n}" for n in range(ROWS)]:
            yield f"the rows are {[row.key for row in rows]}"
        for row in rows:
            text = text_of(row.attempt.raw) if row.attempt and row.attempt.raw else None
            if row.outcome not in ("succeeded", "ambiguous"):
                yield f"{row.key} is {row.outcome} ({row.error_class}): {row.error_message}"
            elif row.outcome == "succeeded" and text != f"Said {row.key}.":
                yield f"{row.key} has another row's answer, or an altered one: {text}"


if __name__ == "__main__":
    for each in map(fate_of, map(int, sys.argv[1:])):
        print(each)
