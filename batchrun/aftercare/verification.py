"""A run's books gone over: the checkpoint's laws, its labels and hashes, the output files. Nothing is sent."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchrun.engine.request import intent_key
from batchrun.errors import Exit
from batchrun.interactions.models import parse_json
from batchrun.outputs.counts import TOTALS
from batchrun.outputs.media import Medium, media_of
from batchrun.outputs.summary import located, summarize
from batchrun.runs.directory import RunDir
from batchrun.spec.canonical import canonical_json
from batchrun.store.audit import Difference, broken_laws, stored_answers, stored_intents, stored_rows
from batchrun.store.damage import explained
from batchrun.store.gaps import ledger_gaps
from batchrun.store.lock import RunLock
from batchrun.store.reader import Reader

_ADVICE = "Its books are complete when it has stopped; use this command again then."
_AGAIN = "`batchrun export` makes it again"


@dataclass(frozen=True)
class Verified:
    """What was gone over, and what does not add up. `files` are output files and media; `stale` is true where the
    output files are of an earlier state of the run, which is no difference."""

    rows: int
    attempts: int
    files: int
    stale: bool
    differences: tuple[Difference, ...]

    @property
    def exit_code(self) -> Exit:
        return Exit.INTERNAL if self.differences else Exit.OK

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "differences": [asdict(each) for each in self.differences]}


def verify(directory: RunDir) -> Verified:
    """Go over a run's books. Raises SpecError if there is no run, LockedError while it goes on, StoreError for a
    checkpoint that cannot be read at all."""
    path = directory.checkpoint
    with explained(path), Reader(path) as reader, closing(RunLock(directory.path, _ADVICE)), reader.snapshot():
        return Audit(directory, reader).verified()


def altered_inputs(db: sqlite3.Connection) -> Iterator[str]:
    """The keys of rows whose input is not the one that was read."""
    for key, sha, data in stored_rows(db):
        value = parse_json((data or "").encode("utf-8", "surrogatepass"))
        if value is None or sha256(canonical_json(value)).hexdigest() != sha:
            yield key


class Audit:
    """One going over. `files` counts those looked at so far, `stale` is known at the end."""

    def __init__(self, directory: RunDir, reader: Reader) -> None:
        self.files, self.stale = 0, False
        self._directory, self._reader, self._db = directory, reader, reader.connection
        self._media: dict[str, tuple[str, int]] = {}

    def verified(self) -> Verified:
        """What it comes to."""
        found = tuple(self.differences())
        rows, attempts = (
            self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("row", "attempt")
        )
        return Verified(rows, attempts, self.files, self.stale, found)

    def differences(self) -> Iterator[Difference]:
        """All there are."""
        checkpoint = [*broken_laws(self._db), *self._inputs(), *self._intents(), *self._answers()]
        yield from checkpoint
        yield from ledger_gaps(self._db, self._directory.ledger)
        yield from self._outputs(readable=not checkpoint)

    def _inputs(self) -> Iterator[Difference]:
        for key in altered_inputs(self._db):
            yield Difference("rows", f"row {key!r}", "its input is not the one that was read")

    def _intents(self) -> Iterator[Difference]:
        run_id = self._reader.meta("run_id") or ""
        for name, label, key, exchange, number in stored_intents(self._db):
            if label != intent_key(run_id, key, exchange, number):
                yield Difference("intents", name, "its label is not the one that its intent had")

    def _answers(self) -> Iterator[Difference]:
        for found in stored_answers(self._db):
            if isinstance(found, Difference):
                yield found
                continue
            for medium in media_of(found.answer):
                yield from self._medium(found.attempt, medium)

    def _medium(self, where: str, medium: Medium) -> Iterator[Difference]:
        if medium.name not in self._media:
            self._media[medium.name] = medium.sha256, medium.bytes
            if wrong := self._wrong(self._directory.media / medium.name, medium.sha256):
                yield Difference("media", where, f"{medium.name} {wrong}")

    def _wrong(self, path: Path, expected: str) -> str | None:
        """Why a file is not what it was when it was written."""
        self.files += 1
        try:
            with path.open("rb") as file:
                return None if file_digest(file, "sha256").hexdigest() == expected else "is not what was written"
        except OSError as error:
            return f"cannot be read ({error.strerror})"

    def _outputs(self, *, readable: bool) -> Iterator[Difference]:
        written = self._written()
        if written is None:
            if self._reader.meta("exported") is not None:
                yield Difference("outputs", self._directory.summary.name, f"is gone or damaged; {_AGAIN}")
            return
        if written.get("run_id") != self._reader.meta("run_id"):
            said = "tells of another run than the checkpoint: restore that, or use `batchrun recover`; do not export"
            yield Difference("outputs", self._directory.summary.name, said)
            return
        outputs = written["outputs"]
        for name, sha in written["sha256"].items():
            path = outputs.get(name, Path(name))
            if wrong := self._wrong(path, sha):
                yield Difference("outputs", str(path), f"{wrong}; {_AGAIN}")
        yield from self._shared_media(written)
        self.stale = written["state"] != self._reader.state_mark()
        if readable and not self.stale:
            yield from self._totals(written)

    def _written(self) -> dict[str, Any] | None:
        """What `run.json` tells, with the paths that its files have now; None if it cannot be used."""
        try:
            found = json.loads(self._directory.summary.read_bytes())
            usable = isinstance(found["sha256"], dict) and "state" in found
            found["outputs"] = located(found, self._directory.path.absolute())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return found if usable else None

    def _shared_media(self, written: dict[str, Any]) -> Iterator[Difference]:
        """The media beside output files that are elsewhere."""
        place = written["outputs"].get("media", self._directory.media)
        if place.absolute() != self._directory.media.absolute():
            for name, (sha, _) in self._media.items():
                if (place / name).exists() and (wrong := self._wrong(place / name, sha)):
                    yield Difference("media", str(place / name), f"{wrong}; {_AGAIN}")

    def _totals(self, written: dict[str, Any]) -> Iterator[Difference]:
        """The sums of the output files against those of the checkpoint."""
        now = summarize(self._reader).document()
        for name in now.keys() - {"posts_this_run", "elapsed_s", "outputs", "directory", "sha256", "state"}:
            if written.get(name) != now[name]:
                said = f"says {name} {written.get(name)}, and the checkpoint {now[name]}"
                yield Difference("outputs", self._directory.summary.name, said)
        yield from _usage_file(written["outputs"].get("usage", Path("usage")), now["usage"])


def _usage_file(path: Path, usage: dict[str, int | None]) -> Iterator[Difference]:
    """`usage.parquet`, whose columns add up to the totals."""
    try:
        table = pq.read_table(path, columns=list(TOTALS))
    except (OSError, pa.ArrowException) as error:
        yield Difference("usage", str(path), f"cannot be read: {error}")
        return
    for name, total in _sums(table, TOTALS).items():
        if total != usage[name]:
            yield Difference("usage", str(path), f"{name} adds up to {total}, and in the checkpoint to {usage[name]}")


def _sums(table: pa.Table, names: Sequence[str]) -> dict[str, int | None]:
    return {name: pc.sum(table.column(name)).as_py() for name in names}
