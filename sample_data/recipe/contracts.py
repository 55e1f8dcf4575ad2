"""Invented contracts of three to five pages: cover, terms, prices, signatures. The same bytes every time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from recipe.sheet import Sheet

_CLAUSES = (
    "The supplier delivers what is listed under the prices, at the times that the parties agree on in writing.",
    "Invoices are sent at the end of each month. What is in dispute may be held back until it is settled.",
    "Neither party is liable for delays that are caused by strikes, floods or the failure of public networks.",
    "Changes of this contract are valid only in writing. Should a clause be void, the others stay in force.",
)


@dataclass(frozen=True)
class Contract:
    """`prices` are items with a unit and a price; `split` puts the terms on two pages."""

    id: str
    title: str
    supplier: str
    customer: str
    start: str
    currency: str
    notice: int
    payment: int
    law: str
    prices: tuple[tuple[str, str, str], ...]
    signed: str | None
    split: bool = False


CONTRACTS = (
    Contract(
        "frame-oak",
        "Frame contract for office plants",
        "Oak & Fern Ltd",
        "Harbour Museum Trust",
        "2026-02-01",
        "GBP",
        60,
        30,
        "the law of Scotland",
        (("Care of a plant", "month", "4.20"), ("Repotting", "piece", "11.50"), ("Desk fern", "piece", "18.00")),
        "2026-01-14",
    ),
    Contract(
        "service-lift",
        "Service contract for lifts",
        "Aufzug Brandt GmbH",
        "Wohnbau Nordtal eG",
        "2026-04-01",
        "EUR",
        90,
        14,
        "German law",
        (("Inspection", "visit", "240.00"), ("Repair", "hour", "96.50"), ("Call at night", "call", "180.00")),
        "2026-03-02",
        split=True,
    ),
    Contract(
        "lease-van",
        "Lease of delivery vans",
        "Polder Vans BV",
        "Brot & Kante AG",
        "2026-01-15",
        "CHF",
        30,
        10,
        "Swiss law",
        (("Electric van", "month", "690.00"), ("Further kilometre", "km", "0.35")),
        None,
    ),
    Contract(
        "hosting-isar",
        "Contract for hosting",
        "Isar Rechenzentrum GmbH",
        "Atelier Lumen SARL",
        "2026-07-01",
        "EUR",
        45,
        21,
        "French law",
        (("Server", "month", "129.00"), ("Storage", "GB", "0.04"), ("Support", "hour", "85.00")),
        "2026-06-11",
    ),
)


def contracts() -> Iterator[tuple[str, bytes]]:
    """Every file: its name and what is in it."""
    for contract in CONTRACTS:
        yield f"{contract.id}.pdf", _pdf(contract)


def row(contract: Contract) -> dict[str, Any]:
    """The row of the input."""
    return {"id": contract.id, "file": f"contracts/{contract.id}.pdf", "pages": len(_pages(contract))}


def truth(contract: Contract) -> dict[str, Any]:
    """What a perfect reader finds, in the form of the records of the job."""
    prices = [{"item": item, "unit": unit, "price": float(price)} for item, unit, price in contract.prices]
    return {
        "id": contract.id,
        "kinds": [kind for kind, _ in _pages(contract)],
        "supplier": contract.supplier,
        "customer": contract.customer,
        "start_date": contract.start,
        "notice_days": contract.notice,
        "payment_days": contract.payment,
        "governing_law": contract.law,
        "currency": contract.currency,
        "prices": prices,
    }


def _pdf(contract: Contract) -> bytes:
    sheet = Sheet("Helvetica", margin=22)
    sheet.page_label = contract.title
    for number, (kind, lines) in enumerate(_pages(contract), 1):
        if number > 1:
            sheet.add_page()
        sheet.line_of(f"Part {number}: {kind.capitalize()}", 16, bold=True)
        sheet.ln(6)
        for line in lines:
            sheet.line_of(line, 11)
            sheet.ln(2)
    return bytes(sheet.output())


def _pages(contract: Contract) -> list[tuple[str, list[str]]]:
    """The pages in their order: what kind each is, and its lines."""
    first, second = _terms(contract)
    terms = [first, second] if contract.split else [[*first, *second]]
    pages = [("cover", _cover(contract)), *(("terms", lines) for lines in terms)]
    pages.append(("prices", _prices(contract)))
    if contract.signed:
        pages.append(
            ("signatures", [f"Signed on {contract.signed}", "For the one:  ________", "For the other:  ________"])
        )
    return pages


def _cover(contract: Contract) -> list[str]:
    return [
        contract.title,
        f"Supplier: {contract.supplier}",
        f"Customer: {contract.customer}",
        f"Start date: {contract.start}",
    ]


def _terms(contract: Contract) -> tuple[list[str], list[str]]:
    """Their lines in two parts, what is agreed on first and what all contracts say after it."""
    figures = [
        f"Notice days: {contract.notice}",
        f"Payment days: {contract.payment}",
        f"Governing law: {contract.law}",
    ]
    return [*figures, *_CLAUSES[:2]], [*_CLAUSES[2:]]


def _prices(contract: Contract) -> list[str]:
    lines = (f"{item} | {unit} | {contract.currency} {price}" for item, unit, price in contract.prices)
    return ["Item | Unit | Price", *lines, "All prices are without tax."]
