"""The same invoices as text: as columns from a text layer, as a list, or as the body of an e-mail."""

from __future__ import annotations

from recipe.wording import Printed

_WIDTHS = (44, 14, 14, 16)


def plain_text(invoice: Printed, place: int) -> str:
    """`place` is the invoice's number in the file: the three forms take turns."""
    form = (_columns, _listing, _letter)[place % 3]
    return "\n".join(form(invoice)).rstrip() + "\n"


def _columns(invoice: Printed) -> list[str]:
    table = [_columned(cells) for cells in (invoice.columns, *invoice.rows)]
    return [
        *invoice.vendor, "", invoice.title, *_pairs(invoice.facts), "",
        invoice.customer_label, *invoice.customer, "",
        *table, "", *_pairs(invoice.totals), "", invoice.note,
    ]  # fmt: skip


def _listing(invoice: Printed) -> list[str]:
    _, *labels = invoice.columns
    items = [
        f"{description} | " + " | ".join(f"{label}: {value}" for label, value in zip(labels, values, strict=True))
        for description, *values in invoice.rows
    ]
    return [invoice.title, *_pairs(invoice.facts), *invoice.vendor, *items, *_pairs(invoice.totals), invoice.note]


def _letter(invoice: Printed) -> list[str]:
    items = [f"- {quantity} {what}: {price} = {amount}" for what, quantity, price, amount in invoice.rows]
    return [
        f"{invoice.title}: {invoice.facts[0][1]}", "", invoice.greeting, "",
        *_pairs(invoice.facts), f"{invoice.customer_label}: {', '.join(invoice.customer)}", "",
        *items, "", *_pairs(invoice.totals), "", invoice.note, "", "-- ", *invoice.vendor,
    ]  # fmt: skip


def _pairs(facts: tuple[tuple[str, str], ...]) -> list[str]:
    return [f"{label}: {value}" for label, value in facts]


def _columned(cells: tuple[str, ...]) -> str:
    description, *numbers = (
        cell.ljust(_WIDTHS[0]) if not at else cell.rjust(_WIDTHS[at]) for at, cell in enumerate(cells)
    )
    return "".join((description, *numbers)).rstrip()
