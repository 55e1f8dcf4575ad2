"""What counts against limits in money: what was spent, and what POSTs whose usage is not known may have cost."""

from __future__ import annotations

from collections.abc import Iterator

from batchrun.store.decoding import ATTEMPT, attempt_record
from batchrun.store.migrations import OPEN
from batchrun.store.reader import Reader
from batchrun.store.records import AttemptRecord

#: Charges are whole billionths of a dollar, in which every price of a token is exact.
PER_DOLLAR = 10**9

_OF_STAGE = "(SELECT stage FROM row WHERE id = attempt.row_id) = ?"


def charged(reader: Reader, stage: str | None = None) -> int | None:
    """What counts against the limit of the job, or of a stage; None if there never was one."""
    of_stage = "" if stage is None else f" WHERE {_OF_STAGE}"
    found = reader.connection.execute(f"SELECT sum(charge) FROM attempt{of_stage}", () if stage is None else (stage,))
    total: int | None = found.fetchone()[0]
    return total


def charged_usd(reader: Reader) -> float | None:
    """The same of the job, in US dollars."""
    total = charged(reader)
    return None if total is None else total / PER_DOLLAR


def set_aside(reader: Reader, stage: str | None = None) -> dict[int, int]:
    """Of that what interactions under way may cost at most, by row id."""
    query = f"SELECT row_id, charge FROM attempt WHERE state = 'submitted' AND {OPEN} AND superseded_at IS NULL"
    of_stage = "" if stage is None else f" AND {_OF_STAGE}"
    found = reader.connection.execute(query + of_stage, () if stage is None else (stage,))
    return {row_id: charge or 0 for row_id, charge in found}


def uncharged(reader: Reader, *, supposed: bool) -> Iterator[tuple[AttemptRecord, int, int]]:
    """The attempts that may have cost something and are charged with nothing yet, with their answers.

    With `supposed` also those that are charged with what they may have cost. Each comes with the input tokens that
    its request was estimated to read, and its charge.
    """
    query = f"""SELECT {ATTEMPT}, a.raw, coalesce(a.tokens, 0), coalesce(a.charge, 0)
                FROM attempt a JOIN row r ON r.id = a.row_id
                WHERE a.state NOT IN ('refused', 'not_sent') AND (a.charge IS NULL OR (? AND a.usage IS NULL))
                ORDER BY a.id"""
    for *found, tokens, charge in reader.connection.execute(query, (supposed,)):
        yield attempt_record(tuple(found)), tokens, charge
