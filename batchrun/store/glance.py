"""What somebody who watches a run asks its checkpoint, beyond what `tally.py` counts: rates, latencies, examples."""

from __future__ import annotations

from dataclasses import dataclass

from batchrun.store.migrations import OPEN
from batchrun.store.reader import PRESENT, Reader
from batchrun.store.tokens import token_count

#: Recent attempts have the highest ids. No more than these are looked at for what is recent, however many there are.
_RECENT = 20_000
_LATENCIES = 256
_LAST = "id > (SELECT coalesce(max(id), 0) FROM attempt) - ?"


@dataclass(frozen=True, slots=True)
class Example:
    """Rows of one error class, and the last of them."""

    kind: str
    count: int
    key: str
    message: str


@dataclass(frozen=True, slots=True)
class Refusals:
    """POSTs refused lately, and what was said to the last of them."""

    count: int
    message: str


def ended_since(reader: Reader, since: float, until: float, steps: int) -> list[int]:
    """How many rows ended in each of so many equal steps between two times (Unix seconds)."""
    width = max(until - since, 1e-9) / steps
    query = f"""SELECT min(cast((finished_at - ?) / ? AS INTEGER), ?), count(*) FROM row
                WHERE finished_at >= ? AND {PRESENT} GROUP BY 1"""
    counts = dict(reader.connection.execute(query, (since, width, steps - 1, since)).fetchall())
    return [counts.get(step, 0) for step in range(steps)]


def last_ended(reader: Reader) -> float | None:
    """When the last row ended, in Unix seconds; None if none has."""
    at: float | None = reader.connection.execute("SELECT max(finished_at) FROM row").fetchone()[0]
    return at


def posts_since(reader: Reader, since: float) -> int:
    """The attempts sent since then."""
    query = f"SELECT count(*) FROM attempt WHERE {_LAST} AND intent_at >= ? AND posts > 0"
    found: int = reader.connection.execute(query, (_RECENT, since)).fetchone()[0]
    return found


def tokens_since(reader: Reader, since: float) -> int:
    """The tokens of the answers that came since then, input, output and thoughts."""
    query = f"""SELECT total({token_count("total_tokens")}) FROM attempt
                WHERE {_LAST} AND fetched_at >= ? AND usage NOT NULL"""
    return int(reader.connection.execute(query, (_RECENT, since)).fetchone()[0])


def tokens_counted(reader: Reader) -> int:
    """The tokens of all answers, as the service adds them up."""
    return int(reader.connection.execute(f"SELECT total({token_count('total_tokens')}) FROM attempt").fetchone()[0])


def tokens_in_all(reader: Reader) -> tuple[int, int, int]:
    """Input, output and thought tokens of all answers, as far as the service said."""
    sums = ", ".join(f"total({token_count(f'total_{name}_tokens')})" for name in ("input", "output", "thought"))
    read, written, thought = reader.connection.execute(f"SELECT {sums} FROM attempt WHERE usage NOT NULL").fetchone()
    return int(read), int(written), int(thought)


def latencies(reader: Reader) -> list[float]:
    """How long the last answers took, in seconds."""
    query = f"""SELECT fetched_at - submitted_at FROM attempt
                WHERE {_LAST} AND fetched_at >= submitted_at ORDER BY fetched_at DESC LIMIT ?"""
    return [seconds for (seconds,) in reader.connection.execute(query, (_RECENT, _LATENCIES))]


def latencies_by_model(reader: Reader) -> list[list[float]]:
    """The same of each model (None: an agent) that is asked now; of whatever was asked, where nothing is in flight."""
    found = reader.connection.execute("SELECT DISTINCT model FROM attempt WHERE state = 'submitted'")
    return [_latencies_of(reader, model) for (model,) in found] or [_latencies_of(reader, None, any_model=True)]


def _latencies_of(reader: Reader, model: str | None, *, any_model: bool = False) -> list[float]:
    query = """SELECT fetched_at - submitted_at FROM attempt WHERE fetched_at NOT NULL AND submitted_at NOT NULL
               AND (? OR model IS ?) ORDER BY id DESC LIMIT ?"""
    return [seconds for (seconds,) in reader.connection.execute(query, (any_model, model, _LATENCIES))]


def ages(reader: Reader, now: float) -> list[float]:
    """For how long each of the interactions in flight has been, in seconds."""
    query = f"""SELECT max(0, ? - submitted_at) FROM attempt
                WHERE state = 'submitted' AND {OPEN} AND superseded_at IS NULL"""
    return [age for (age,) in reader.connection.execute(query, (now,))]


def examples(reader: Reader, longest: int) -> list[Example]:
    """Rows that ended without a usable answer, by error class, the last ones first, with messages of so many
    characters at most."""
    query = f"""SELECT error_class, count(*), key, substr(coalesce(error_message, ''), 1, ?), max(finished_at) FROM row
                WHERE error_class NOT NULL AND outcome != 'skipped' AND {PRESENT} GROUP BY 1 ORDER BY 5 DESC LIMIT 32"""
    found = reader.connection.execute(query, (longest,))
    return [Example(str(kind), count, str(key), str(message)) for kind, count, key, message, _ in found]


def refusals_since(reader: Reader, since: float) -> Refusals | None:
    """The POSTs refused since then, None if none was."""
    query = f"""SELECT count(*), coalesce(error_message, error_class, ''), max(intent_at) FROM attempt
                WHERE {_LAST} AND state = 'refused' AND intent_at >= ?"""
    count, message, _ = reader.connection.execute(query, (_RECENT, since)).fetchone()
    return Refusals(count, str(message)) if count else None
