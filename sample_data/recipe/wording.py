"""An invoice as the strings that appear on it, in its vendor's language. Layouts and plain texts only place them."""

from __future__ import annotations

from dataclasses import dataclass

from recipe.invoices import Invoice, LineItem

Row = tuple[str, str, str, str]
Fact = tuple[str, str]


@dataclass(frozen=True)
class Printed:
    title: str
    vendor: tuple[str, ...]
    customer_label: str
    customer: tuple[str, ...]
    facts: tuple[Fact, ...]
    columns: Row
    rows: tuple[Row, ...]
    totals: tuple[Fact, ...]
    page_label: str
    greeting: str
    note: str


def printed(invoice: Invoice) -> Printed:
    vendor, labels = invoice.vendor, invoice.vendor.labels
    return Printed(
        title=labels["receipt" if invoice.layout == "receipt" else "invoice"],
        vendor=(vendor.name, *vendor.address, vendor.tax_id),
        customer_label=labels["customer"],
        customer=invoice.customer,
        facts=_facts(invoice),
        columns=(labels["description"], labels["quantity"], labels["unit_price"], labels["amount"]),
        rows=tuple(_row(item, invoice) for item in invoice.items),
        totals=_totals(invoice),
        page_label=labels["page"],
        greeting=labels["greeting"],
        note=labels["note"] if invoice.due else "",
    )


def _facts(invoice: Invoice) -> tuple[Fact, ...]:
    labels, day = invoice.vendor.labels, invoice.vendor.format.day
    facts = ((labels["number"], invoice.number), (labels["date"], day(invoice.date)))
    return facts if invoice.due is None else (*facts, (labels["due"], day(invoice.due)))


def _row(item: LineItem, invoice: Invoice) -> Row:
    form = invoice.vendor.format
    quantity = f"{form.brief(item.quantity)} {item.unit}".strip()
    return item.description, quantity, form.number(item.unit_price), form.number(item.amount)


def _totals(invoice: Invoice) -> tuple[Fact, ...]:
    labels, form = invoice.vendor.labels, invoice.vendor.format
    taxes = [(labels["tax"].format(rate=form.brief(rate)), form.amount(tax)) for rate, tax in invoice.taxes.items()]
    subtotal = (labels["subtotal"], form.amount(invoice.subtotal))
    return (subtotal, *taxes, (labels["total"], form.amount(invoice.total)))
