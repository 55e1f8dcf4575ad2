"""Why `retry` made no row pending, and what to do instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from batchrun.plurals import counted
from batchrun.rows import Outcome
from batchrun.store.reader import Reader
from batchrun.store.tally import tally_of

_SHOWN_KEYS = 20
#: The options that ask for rows of an outcome.
_OPTIONS = {Outcome.INCOMPLETE: "--incomplete", Outcome.BLOCKED: "--blocked", Outcome.AMBIGUOUS: "--ambiguous"}


def nothing_to_retry(reader: Reader, keys: Sequence[str], asked: Sequence[str], run: str) -> Iterator[str]:
    """Lines that say it. `asked` are the outcomes that were looked for, `run` the words that go on with the run."""
    yield "Nothing was made pending again."
    if not keys:
        yield from _of_all(reader, asked, run)
    for key in keys[:_SHOWN_KEYS]:
        yield f"  row {key}: {_of_row(reader, key, asked, run)}"
    if len(keys) > _SHOWN_KEYS:
        yield f"  … and {counted(len(keys) - _SHOWN_KEYS, 'row')} more"


def _of_all(reader: Reader, asked: Sequence[str], run: str) -> Iterator[str]:
    counts, never = tally_of(reader).outcomes, sum(reader.never_sent().values())
    for outcome in (*Outcome, "pending"):
        number = counts.get(outcome, 0) - (never if outcome == Outcome.FAILED else 0)
        if number > 0:
            yield f"  {counted(number, 'row')} {_why(outcome, asked, run)}"
    if never:
        yield f"  {counted(never, 'row')} {_NEVER_SENT}"


def _of_row(reader: Reader, key: str, asked: Sequence[str], run: str) -> str:
    row = reader.row(key)
    if row is None:
        return "is gone meanwhile"
    if row.outcome == Outcome.FAILED and not row.attempts:
        return _NEVER_SENT
    return _why(row.outcome or "pending", asked, run)


_NEVER_SENT = "failed before being sent: mend the input, then run again"


def _why(outcome: str, asked: Sequence[str], run: str) -> str:
    """What keeps rows of an outcome from being made pending, and what to do."""
    name = outcome.replace("_", " ")
    if outcome == "pending":
        return f"pending already; go on with: batchrun run {run}"
    if outcome == Outcome.SKIPPED:
        return "skipped: made anew when what it follows from has ended otherwise"
    if outcome == Outcome.AWAITING_APPROVAL:
        return f"{name}: see `batchrun approve`"
    if outcome in asked or outcome == Outcome.SUCCEEDED:
        return name
    option = _OPTIONS.get(Outcome(outcome))
    return f"{name}: sent again only {f'with {option}' if option else 'without --failed'}"
