"""Invented invoices with sums that add up: what they say, not how they look."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from recipe.formats import rounded
from recipe.vendors import Good, Vendor

SEED = 20250314


@dataclass(frozen=True)
class LineItem:
    description: str
    unit: str
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal
    rate: Decimal


@dataclass(frozen=True)
class Invoice:
    id: str
    vendor: Vendor
    customer: tuple[str, ...]
    number: str
    date: date
    due: date | None
    layout: str
    items: tuple[LineItem, ...]

    @property
    def subtotal(self) -> Decimal:
        return sum((item.amount for item in self.items), Decimal(0))

    @property
    def taxes(self) -> dict[Decimal, Decimal]:
        """Tax by rate; each rate is rounded once, on the sum of its items."""
        bases: dict[Decimal, Decimal] = {}
        for item in self.items:
            bases[item.rate] = bases.get(item.rate, Decimal(0)) + item.amount
        return {rate: rounded(bases[rate] * rate / 100, self.vendor.currency) for rate in sorted(bases)}

    @property
    def tax(self) -> Decimal:
        return sum(self.taxes.values(), Decimal(0))

    @property
    def total(self) -> Decimal:
        return self.subtotal + self.tax


def make_invoices(vendors: Iterable[Vendor]) -> list[Invoice]:
    """One invoice for each layout of each vendor, shuffled so that languages and layouts mix."""
    orders = [(vendor, index) for vendor in vendors for index in range(len(vendor.layouts))]
    Random(SEED).shuffle(orders)
    return [_invoice(f"inv-{place:03}", *order) for place, order in enumerate(orders, start=1)]


def _invoice(id: str, vendor: Vendor, index: int) -> Invoice:
    random = Random(f"{SEED}/{vendor.name}/{index}")
    layout = vendor.layouts[index]
    day = date(2025, 1, 8) + timedelta(days=random.randrange(340))
    unpaid = vendor.due_in is not None and layout != "receipt"
    return Invoice(
        id=id,
        vendor=vendor,
        customer=random.choice(vendor.customers),
        number=_number(vendor, day, serial=500 * index + random.randint(10, 480)),
        date=day,
        due=day + timedelta(days=vendor.due_in or 0) if unpaid else None,
        layout=layout,
        items=tuple(_ledger(vendor, day, random) if layout == "ledger" else _order(vendor, random)),
    )


def _number(vendor: Vendor, day: date, serial: int) -> str:
    year, month, _ = vendor.format.year_month_day(day)
    return vendor.format.in_digits(vendor.numbering.format(y=year, m=month, n=serial))


def _order(vendor: Vendor, random: Random) -> list[LineItem]:
    chosen = random.sample(vendor.goods, k=random.randint(min(2, len(vendor.goods)), len(vendor.goods)))
    chosen.sort(key=lambda good: good.price < 0)  # a credit comes last, and never alone
    return [_line(good, good.description, vendor, random) for good in chosen]


def _ledger(vendor: Vendor, day: date, random: Random) -> list[LineItem]:
    """A statement of a month's deliveries: enough lines for two pages or more."""
    deliveries = sorted(random.randrange(1, 32) for _ in range(random.randint(44, 68)))
    return [
        _delivery(random.choice(vendor.goods), day - timedelta(days=32 - passed), vendor, random)
        for passed in deliveries
    ]


def _delivery(good: Good, day: date, vendor: Vendor, random: Random) -> LineItem:
    description = f"{good.description} ({vendor.labels['delivery']} {vendor.format.day(day)})"
    return _line(good, description, vendor, random)


def _line(good: Good, description: str, vendor: Vendor, random: Random) -> LineItem:
    quantity = good.step * random.randint(1, int(good.most / good.step))
    price = max(good.price, rounded(good.price, vendor.currency), key=_places)
    return LineItem(description, good.unit, quantity, price, rounded(quantity * price, vendor.currency), good.rate)


def _places(number: Decimal) -> int:
    """Digits after the point. Prices for words and prints have three; the others are written as money is."""
    return -int(number.as_tuple().exponent)


def truth(invoice: Invoice) -> dict[str, Any]:
    """What a perfect reader would find on the invoice."""
    vendor = invoice.vendor
    return {
        "id": invoice.id,
        "file": f"invoices/{invoice.id}.pdf",
        "vendor_name": vendor.name,
        "invoice_number": invoice.number,
        "invoice_date": invoice.date.isoformat(),
        "due_date": invoice.due and invoice.due.isoformat(),
        "currency": vendor.currency,
        "line_items": [_item_truth(item) for item in invoice.items],
        "subtotal": _plain(invoice.subtotal),
        "tax": _plain(invoice.tax),
        "total": _plain(invoice.total),
        "language": vendor.language,
    }


def _item_truth(item: LineItem) -> dict[str, Any]:
    return {
        "description": item.description,
        "quantity": _plain(item.quantity),
        "unit_price": _plain(item.unit_price),
        "amount": _plain(item.amount),
    }


def _plain(number: Decimal) -> int | float:
    return int(number) if number == number.to_integral_value() else float(number)
