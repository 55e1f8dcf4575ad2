"""`usage.parquet`: one record per attempt with every count the API reports. What was not reported is null, never 0."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from batchrun.interactions.models import storable
from batchrun.interactions.usage import GROUNDING
from batchrun.outputs.counts import FAMILIES, MODALITIES, TOTALS, counts_of, search_queries
from batchrun.outputs.fitting import json_text
from batchrun.outputs.table import COUNT, TEXT, TIME, YES_NO, Column, microseconds
from batchrun.rows import key_within
from batchrun.store.records import AttemptRecord

#: An attempt with the counts of its usage object, by column, and that of its searches.
Used = tuple[AttemptRecord, dict[str, int], int | None]


def used(attempt: AttemptRecord) -> Used:
    return attempt, counts_of(attempt.usage), search_queries(attempt.raw)


def columns() -> list[Column[Used]]:
    """The columns of `usage.parquet` in order. `attempt` is the attempt's number within its row, 1 for the first."""
    return [
        Column("key", TEXT, lambda u: storable(key_within(u[0].stage, u[0].key))),
        Column("attempt", COUNT, lambda u: u[0].number),
        _text("stage"),
        _same("exchange", COUNT),
        _same("turn", COUNT),
        Column("state", TEXT, lambda u: str(u[0].state)),
        _text("evidence"),
        _same("billed", YES_NO),
        *map(_text, ("interaction_id", "model", "interaction_status", "service_tier", "error_class")),
        *(Column(name, COUNT, _count(name)) for name in COUNTS),
        Column("search_queries", COUNT, lambda u: u[2]),
        *(_same(name, COUNT) for name in ("posts", "polls", "http_status")),
        *(_time(name) for name in ("intent_at", "submitted_at", "fetched_at")),
        Column("superseded", YES_NO, lambda u: u[0].superseded_at is not None),
        *map(_text, ("intent_key", "request_sha")),
        Column("usage_json", TEXT, _raw),
    ]


#: The columns that hold a count of the usage object.
COUNTS = (
    *TOTALS,
    *(f"{family}_{modality}_tokens" for family in FAMILIES for modality in MODALITIES),
    *(f"{kind}_count" for kind in GROUNDING),
)


def _same(name: str, type_: Any) -> Column[Used]:
    get = attrgetter(name)
    return Column(name, type_, lambda u: get(u[0]))


def _text(name: str) -> Column[Used]:
    get = attrgetter(name)

    def value(record: Used) -> str | None:
        found = get(record[0])
        return None if found is None else storable(found)

    return Column(name, TEXT, value)


def _time(name: str) -> Column[Used]:
    get = attrgetter(name)
    return Column(name, TIME, lambda u: microseconds(get(u[0])))


def _raw(record: Used) -> str | None:
    """The usage object as it came; None if there is none or if it is nested too deep to be one."""
    usage = record[0].usage
    try:
        return None if usage is None else json_text(usage)
    except RecursionError:
        return None


def _count(name: str) -> Callable[[Used], int | None]:
    return lambda u: u[1].get(name)
