"""The lines of a table in a text: what was sold, how many, for how much.

A line is one if its numbers say so: quantity times unit price is the amount. That needs no knowledge of the layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from batchrun.emulator.replies.labels import Hit, Page, Piece
from batchrun.emulator.replies.lexicon import UNITS
from batchrun.emulator.replies.numbers import Found, Style, plain

_NUMBERED = re.compile(r"^[\s*•·-]*(?:\d{1,3}[.)]\s+)?")
_JOINT = re.compile(r"^[\s.:x×*@=-]+|[\s:x×*@=-]+$")
_LETTER = re.compile(r"[^\W\d_]")
_TAIL = re.compile(r"[\s\W]*(?:[^\W\d_]{1,4}[\s\W]*)?")
_SUMS = frozenset({"subtotal", "tax", "total", "number", "date", "due", "tax_id"})


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table. `unit` is empty where none stands between quantity and price."""

    description: str
    quantity: float
    unit: str
    unit_price: float
    amount: float

    def number(self, column: str) -> float | None:
        value = getattr(self, column) if column in ("quantity", "unit_price", "amount") else None
        return value if isinstance(value, float) else None

    def text(self, column: str) -> str | None:
        value = {"description": self.description, "unit": self.unit}.get(column)
        return value or None


def rows_of(text: str, page: Page, style: Style) -> list[Row]:
    """The lines of all tables in the order of the text."""
    printed = list(_printed(text, page, style))
    labelled = list(_labelled(page, style))
    return _unnumbered(labelled if labelled and len(labelled) >= len(printed) else printed)


def _unnumbered(rows: list[Row]) -> list[Row]:
    """Without the numbers of the lines, where every line begins with its own."""
    starts = [f"{number} " for number in range(1, len(rows) + 1)]
    if not all(row.description.startswith(start) for row, start in zip(rows, starts, strict=True)):
        return rows
    return [replace(row, description=row.description[len(start) :]) for row, start in zip(rows, starts, strict=True)]


def _printed(text: str, page: Page, style: Style) -> Iterator[Row]:
    """Rows that stand on one line, or on a line below their description."""
    skipped = {hit.line for hit in page.hits if _SUMS & set(hit.concepts)}
    lines = text.split("\n")
    for number, (above, line) in enumerate(pairwise(["", *lines])):
        if number not in skipped and (row := _row(line[:400], above.strip(), style)) is not None:
            yield row


def _row(line: str, above: str, style: Style) -> Row | None:
    body = _NUMBERED.sub("", line)
    flat = plain(body)
    for spaced in (True, False) if style.decimal != "." else (False, True):
        if triple := _triple(style.numbers(flat, spaced=spaced), flat):
            return _described(body, triple, above)
    return None


def _triple(numbers: list[Found], flat: str) -> tuple[Found, Found, Found] | None:
    """Quantity, price and amount, if the last two numbers are a price and its product with an earlier one."""
    if len(numbers) < 3:
        return None
    *earlier, price, amount = numbers
    if not _TAIL.fullmatch(flat[amount.end :]) or (price.raw.isdigit() and len(price.raw) < 2):
        return None
    return next(((q, price, amount) for q in reversed(earlier) if _product(q, price, amount)), None)


def _product(quantity: Found, price: Found, amount: Found) -> bool:
    tolerance = 0.0051 if amount.exact else 0.51 if quantity.exact or price.exact else 0.0
    return abs(quantity.value * price.value - amount.value) <= tolerance


def _described(body: str, triple: tuple[Found, Found, Found], above: str) -> Row | None:
    quantity, price, amount = triple
    before = _JOINT.sub("", body[: quantity.start])
    between = _JOINT.sub("", body[quantity.end : price.start])
    unit, rest = _unit(between)
    description = before or rest or above
    if not _LETTER.search(description):
        return None
    shown = between if before else unit
    return Row(description, quantity.value, shown if len(shown) < 16 else "", price.value, amount.value)


def _unit(text: str) -> tuple[str, str]:
    """The unit that a text begins with, and what follows it."""
    first, _, rest = text.partition(" ")
    return (first, rest.strip()) if first.casefold().rstrip(".") in UNITS else ("", text)


def _labelled(page: Page, style: Style) -> Iterator[Row]:
    """Rows whose values stand beside labels of their own, below or after their description."""
    description, values, unit = "", dict[str, Found](), ""
    for piece in page.pieces:
        column, found = _cell(piece, style)
        if column is None:
            description, values = _NUMBERED.sub("", piece.text), {}
            continue
        if found is None:
            continue
        values[column] = found
        if column == "quantity" and piece.hit is not None:
            unit = piece.hit.rest[found.end :].strip()
        if len(values) == 3:
            if _product(values["quantity"], values["unit_price"], values["amount"]):
                numbers = (values[name].value for name in ("quantity", "unit_price", "amount"))
                quantity, price, amount = numbers
                yield Row(description, quantity, unit, price, amount)
            values = {}


def _cell(piece: Piece, style: Style) -> tuple[str | None, Found | None]:
    """The column that a piece names and the number in it; no column for a piece that may be a description."""
    column = _column(piece.hit)
    if column is None or piece.hit is None:
        return None, None
    numbers = style.numbers(plain(piece.hit.rest), spaced=style.decimal == ",")
    return (column, numbers[0]) if numbers else (None, None)


def _column(hit: Hit | None) -> str | None:
    return next((name for name in ("quantity", "unit_price", "amount") if hit and hit.means(name)), None)
