"""The schemas and transforms of contracts_pipeline.yaml: a contract into its pages, and its pages into one record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, Field


class Cover(BaseModel):
    """Who makes the contract, and from when on."""

    supplier: str | None
    customer: str | None
    start_date: str | None = Field(description="YYYY-MM-DD", json_schema_extra={"format": "date"})


class Terms(BaseModel):
    """What the clauses on one page say; they may go on over several."""

    notice_days: int | None = Field(description="Days of notice to end the contract.")
    payment_days: int | None = Field(description="Days until an invoice is due.")
    governing_law: str | None


class Price(BaseModel):
    """One line of a list of prices."""

    item: str
    unit: str
    price: float


class Prices(BaseModel):
    """A list of prices."""

    currency: str | None = Field(description="ISO 4217 code")
    prices: list[Price]


def pages(row: dict[str, Any]) -> list[dict[str, int]]:
    """The numbers of a contract's pages, from 1 on."""
    return [{"number": number} for number in range(1, row["pages"] + 1)]


def contract(rows: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """What the pages of a contract say together: the first value of each field; lists are put together.

    `doubts` are the pages that the check found to be wrong, and its remarks.
    """
    found: dict[str, Any] = {}
    doubts: list[dict[str, Any]] = []
    for outputs in ({name: stage["output"] for name, stage in row["stages"].items()} for row in rows):
        for part in ("cover", "terms", "prices"):
            _take(found, outputs[part] or {})
        if not outputs["check"]["correct"]:
            doubts.append({"page": outputs["page"]["number"], "remark": outputs["check"]["remark"]})
    return {**found, "doubts": doubts}


def _take(found: dict[str, Any], page: dict[str, Any]) -> None:
    """Add what a page says to what has been found before it."""
    for field, value in page.items():
        known = found.get(field)
        if isinstance(known, list):
            found[field] = known + value
        elif known is None:
            found[field] = value
