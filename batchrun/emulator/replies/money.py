"""Sums of a document: what stands beside the labels of its subtotal, its taxes and its total."""

from __future__ import annotations

import re

from batchrun.emulator.replies.currencies import MONEY
from batchrun.emulator.replies.labels import Hit, Page
from batchrun.emulator.replies.numbers import Found, Style, plain

_SERIAL = re.compile(r"-?0\d")
_FAR = 40


def amount_of(concept: str, page: Page, style: Style) -> float | None:
    """The subtotal, tax or total. Of several subtotals and totals the last counts; several taxes add up."""
    found = [value for hit in page.of(concept) if (value := money_in(hit, style)) is not None]
    if not found:
        return None
    return round(sum(found), 3) if concept == "tax" else found[-1]


def money_in(hit: Hit, style: Style) -> float | None:
    """The amount beside a label, or below it where nothing else stands beside it."""
    text = hit.rest or hit.below
    numbers = [number for number in style.numbers(plain(text), spaced=style.decimal != ".") if _amount(number, text)]
    if not numbers or numbers[-1].start > _FAR:
        return None
    return numbers[-1].value


def _amount(number: Found, text: str) -> bool:
    """Money has decimals, grouped digits or a currency beside it, or stands alone: other numbers may be anything."""
    if _SERIAL.match(number.raw) and not number.exact:
        return False
    alone = number.raw == text.strip()
    return bool(alone or number.exact or not number.raw.lstrip("-").isdigit() or MONEY.search(text))
