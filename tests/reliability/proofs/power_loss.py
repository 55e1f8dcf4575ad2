"""Images of a run's disk after power cuts at random moments, rebuilt from its system calls: what must be there is."""

from __future__ import annotations

import shutil
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random

from batchrun.aftercare.recovery import recover
from batchrun.errors import BatchrunError, StoreError
from batchrun.interactions.models import Interaction
from batchrun.outputs.media import media_of
from batchrun.runs.directory import RunDir
from batchrun.spec.load import load_job
from batchrun.store.gaps import ledger_gaps
from batchrun.store.reader import Reader
from batchrun.store.store import Store
from tests.processes import emulator
from tests.reliability.audit import Judge
from tests.reliability.disk import Cut, File, Loss
from tests.reliability.figures import Figure
from tests.reliability.history import CALLS, History
from tests.reliability.lives import lived
from tests.reliability.planted import Step, nothing
from tests.reliability.scenarios import Scenario
from tests.reliability.traces import calls, traced

_IMAGES_FULL, _IMAGES_SHORT = 5000, 150
_ROWS = 6
_STRACE = ("-y", "-xx", "-s", "100000000", "-e", f"trace={CALLS}")
_JOB = Scenario(
    {
        "model": "gemini-3.1-flash-image",
        "input": "Draw {{ word }}",
        "response_format": {"type": "image", "image_size": "512"},
    },
    {"dir": "out", "jsonl": True, "steps": True},
    limits={"posts": 2, "in_flight": 4},
)
#: What is named so belongs to whoever reads results; it is whole, or as it was before, or not there.
_OUTPUTS = ("out/*.parquet", "out/*.jsonl", "runs/job/run.json")
_MEDIA = ("out/media/*", "runs/job/media/*")


@dataclass(slots=True)
class Recording:
    """One run, from its system calls. `whole` are the contents that each output file has had by its name."""

    history: History
    whole: dict[str, set[str]] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)

    def faults(self, cut: Cut, where: Path) -> list[str]:
        """What is wrong with the image of a power cut, which is made in `where`."""
        shutil.rmtree(where, ignore_errors=True)
        self.history.root.write_out(cut, where)
        found = [*self._checkpoint(cut, where), *self._outputs(where), *_media(where)]
        return [*found, *_resumption(where), *self._recovery(cut, where)]

    def _checkpoint(self, cut: Cut, where: Path) -> Iterator[str]:
        sent, asked = self._told(cut)
        intents, ids = set[str](), set[str]()
        if (where / "runs/job/run.db").exists():
            try:
                with closing(sqlite3.connect(where / "runs/job/run.db")) as connection:
                    yield from _opened(connection, where, intents, ids)
            except sqlite3.Error as error:
                yield f"corrupt: {error}"
        yield from (f"billed without intent: {intent}" for intent in sorted(sent - intents))
        yield from (f"id lost: {name}" for name in sorted(asked - ids))

    def _told(self, cut: Cut) -> tuple[set[str], set[str]]:
        """The intents and ids of which a byte may have left before a power cut."""
        sent = {intent for intent, at in self.history.intents.items() if at <= cut.at}
        return sent, {name for name, at in self.history.ids.items() if at <= cut.at}

    def _recovery(self, cut: Cut, where: Path) -> Iterator[str]:
        """The ledger alone knows every POST and every id that may have left. Takes the checkpoint away."""
        sent, asked = self._told(cut)
        intents, ids = _recovered(where) if sent else (set[str](), set[str]())
        yield from (f"unknown to the ledger: {name}" for name in sorted((sent - intents) | (asked - ids)))

    def _outputs(self, where: Path) -> Iterator[str]:
        found = {str(path.relative_to(where)): path for pattern in _OUTPUTS for path in where.glob(pattern)}
        for name, path in found.items():
            if not path.name.startswith(".") and _hash(path.read_bytes()) not in self.whole[name]:
                yield f"torn: {name}"
        yield from (f"gone: {name}" for name in sorted(self.kept - found.keys()))


def _opened(connection: sqlite3.Connection, where: Path, intents: set[str], ids: set[str]) -> Iterator[str]:
    (said,) = connection.execute("PRAGMA integrity_check").fetchone()
    if said != "ok":
        yield f"corrupt: {said}"
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'attempt'").fetchone():
        return
    for intent, name, raw in connection.execute("SELECT intent_key, interaction_id, raw FROM attempt"):
        intents.add(intent)
        ids.add(name)
        answer = Interaction.parse(zlib.decompress(raw)) if raw else None
        for medium in media_of(answer) if answer else ():
            path = where / "runs/job/media" / medium.name
            if not path.exists() or _hash(path.read_bytes()) != medium.sha256:
                yield f"medium lost: {medium.name}"


def _resumption(where: Path) -> Iterator[str]:
    """The next run can begin, and then the ledger tells all that the checkpoint knows."""
    path = where / "runs/job/run.db"
    try:
        if path.parent.is_dir():
            with closing(Store(path)) as store:
                store.begin_epoch()
                gaps = list(ledger_gaps(store.connection, path.with_name("run.ledger")))
                yield from (f"not in the ledger: {gap.where}: {gap.said}" for gap in gaps)
    except StoreError as error:
        yield f"blocked: {error}"


def _recovered(where: Path) -> tuple[set[str], set[str]]:
    """The intents and ids that a recovery knows after the checkpoint is lost altogether."""
    directory = RunDir(where / "runs/job")
    for path in directory.path.glob("run.db*"):
        path.unlink()
    try:
        recover(load_job(where / "job.json"), directory, 0.0)
        with Reader(directory.checkpoint) as reader:
            known = list(reader.attempts())
    except BatchrunError:
        known = []
    return {each.intent_key for each in known}, {each.interaction_id or "" for each in known}


def _media(where: Path) -> Iterator[str]:
    """The files of media have the beginning of their hash in their names."""
    for path in (path for pattern in _MEDIA for path in where.glob(pattern)):
        if not path.name.startswith(".") and _hash(path.read_bytes())[:12] not in path.name:
            yield f"torn: {path.relative_to(where)}"


def _hash(content: bytes) -> str:
    return sha256(content).hexdigest()


def record(where: Path, url: str, planted: Step = nothing, *, before: int = 0) -> Recording:
    """Run a job in `where` and record it. With `before`, a run of so many rows has ended there already."""
    words = ("run", "job.json", "--base-url", url, "--quiet")
    if before:
        _JOB.write(where, before)
        assert lived(where, *words).code == 0
    _JOB.write(where, _ROWS)
    recording = Recording(History.beginning(where))
    recording.kept = set(_note_outputs(where, recording.whole))
    ended, lines = traced(where, words, _STRACE, planted=planted)
    assert ended.code == 0, ended.err
    recording.history.add(calls(lines))
    _note_outputs(where, recording.whole)
    _check(recording, where)
    return recording


def _note_outputs(where: Path, whole: dict[str, set[str]]) -> list[str]:
    names = [str(path.relative_to(where)) for pattern in _OUTPUTS for path in where.glob(pattern)]
    for name in names:
        whole.setdefault(name, set()).add(_hash((where / name).read_bytes()))
    return names


def _check(recording: Recording, where: Path) -> None:
    """The recording tells of every POST that the emulator got, and of every file as it is now."""
    arrived = {entry["labels"]["batchrun-intent"] for entry in Judge(where.parent / "ledger.jsonl").posts(where)}
    new = arrived & recording.history.intents.keys()
    assert len(new) == len(recording.history.intents) > 0
    for path in (
        path for path in where.rglob("*") if path.is_file() and not path.name.endswith(("-shm", ".out", ".err"))
    ):
        told = recording.history.thing(str(path))
        assert isinstance(told, File), path
        end = Cut(recording.history.events[-1], Loss.NOTHING, Random(0))
        assert told.content(end) == path.read_bytes(), path


def cuts(recording: Recording, number: int, seed: int) -> Iterator[Cut]:
    """Power cuts after events that mattered, each in a mode of its own turn."""
    random, losses = Random(seed), list(Loss)
    for n in range(number):
        yield Cut(random.choice(recording.history.events), losses[n % len(losses)], Random(random.random()))


def found(recording: Recording, images: int, seed: int, where: Path) -> Counter[str]:
    """The faults of so many images, one after the other in `where`."""
    faults = Counter[str]()
    for cut in cuts(recording, images, seed):
        faults.update(f"{fault} ({cut.loss})" for fault in recording.faults(cut, where))
    return faults


def prove(where: Path, *, full: bool) -> list[Figure]:
    images = _IMAGES_FULL if full else _IMAGES_SHORT
    with emulator(where, "--latency", "0s") as url:
        recordings = [record(where / "fresh", url), record(where / "grown", url, before=2)]
    faults = Counter[str]()
    for number, recording in enumerate(recordings):
        faults += found(recording, images // 2, number, where / "image")
    kinds = Counter(fault.partition(":")[0] for fault in faults.elements())
    return [
        Figure(
            "power-loss images of store, ledger, outputs and media",
            f"{_IMAGES_FULL:,}; billed without intent 0, ids lost 0, torn 0, corrupt 0, unknown to the ledger 0",
            f"{images:,} images: {kinds['billed without intent']} billed without intent, {kinds['id lost']} ids lost, "
            f"{kinds['torn'] + kinds['gone'] + kinds['medium lost']} torn or gone, {kinds['corrupt']} corrupt, "
            f"{kinds['unknown to the ledger'] + kinds['not in the ledger']} unknown to the ledger, "
            f"{kinds['blocked']} blocked",
            not faults,
            "; ".join(sorted(faults)[:20])
            or "a third each with all unsynced writes kept, all lost, and some pages and names lost",
        )
    ]
