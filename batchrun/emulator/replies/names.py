"""What a property wants, by its name: the concept that labels in documents stand for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from batchrun.emulator.replies.labels import phrases

_WORD = re.compile(r"[^\W_]+?(?=[A-Z][a-z])|[^\W_]+")
_NAMES: Mapping[str, str] = {
    "number": "invoice number; invoice no; invoice id; receipt number; document number; bill number; invoice nr; "
    "invoice ref; document id",
    "date": "invoice date; issue date; date; issued; issued on; issued at; document date; date of issue; receipt date; "
    "billing date; date issued",
    "due": "due date; due; payment due; payment due date; pay by; due on; date due",
    "subtotal": "subtotal; sub total; net amount; net total; total net; net; amount before tax; total before tax; "
    "total excluding tax; subtotal amount; amount net; total excl tax",
    "tax": "tax; vat; tax amount; vat amount; total tax; total vat; sales tax; gst; tax total; vat total; taxes",
    "total": "total; total amount; amount due; grand total; total due; gross amount; gross; gross total; total gross; "
    "amount payable; amount total; total incl tax; total including tax; invoice total; total price; balance due; "
    "total to pay; invoice amount",
    "seller": "vendor; seller; supplier; vendor name; seller name; supplier name; company; company name; merchant; "
    "merchant name; issuer; store; store name; issued by; biller",
    "buyer": "customer; buyer; client; customer name; buyer name; client name; bill to; recipient; recipient name; "
    "billed to",
    "description": "description; item; product; item name; product name; name; title; article; service; text; label",
    "quantity": "quantity; qty; count; units; number of units; hours",
    "unit_price": "unit price; price; price per unit; rate; unit cost; price each; item price",
    "amount": "amount; line total; total; line amount; subtotal; net amount; total price; value; sum; item total; net",
    "unit": "unit; unit of measure; uom; measure",
    "order": "order number; po number; purchase order; order id; order no; reference; customer reference",
    "tax_id": "tax id; vat id; vat number; tax number; vendor tax id; seller tax id; vendor vat id",
    "currency": "currency; currency code; iso currency; invoice currency",
    "language": "language; lang; language code; locale; document language; text language",
    "email": "email; e mail; email address; vendor email; contact email",
    "url": "url; website; web site; homepage; link",
    "iban": "iban; bank account; account iban",
}
#: What a line of a table has; of a whole document some of these names mean something else, or nothing.
COLUMNS = ("description", "quantity", "unit_price", "amount", "unit")
AMOUNTS = frozenset({"subtotal", "tax", "total"})
_HEADS = frozenset({"invoice", "document", "receipt", "bill", "the", "in", "eur", "usd"})


@lru_cache(maxsize=1024)
def name_words(name: str) -> tuple[str, ...]:
    """`invoiceNumber` and `invoice_number` as words in lower case."""
    return tuple(word.casefold() for word in _WORD.findall(name[:80]))


@lru_cache(maxsize=1024)
def concept_of(name: str) -> str | None:
    """What a property of a document wants; None if the name says nothing that is known here."""
    words = name_words(name)
    rest = tuple(word for word in words if word not in _HEADS)
    return _DOCUMENT.get(" ".join(words)) or _DOCUMENT.get(" ".join(rest)) or _foreign(words)


@lru_cache(maxsize=1024)
def column_of(name: str) -> str | None:
    """What a property of a table's line wants."""
    words = " ".join(name_words(name))
    return _LINE.get(words) or _LINE.get(words.removeprefix("line ").removeprefix("item ")) or _foreign_column(words)


def _foreign(words: tuple[str, ...]) -> str | None:
    """A name that is itself a label, in any language: `rechnungsnummer`."""
    for same in phrases().get(words[0], ()) if words else ():
        if same[0].words == words and same[0].concept not in (*COLUMNS, "title"):
            return same[0].concept
    return None


def _foreign_column(words: str) -> str | None:
    listed = tuple(words.split())
    for same in phrases().get(listed[0], ()) if listed else ():
        found = [phrase.concept for phrase in same if phrase.concept in COLUMNS]
        if same[0].words == listed and found:
            return found[0]
    return None


def _table(concepts: list[str]) -> dict[str, str]:
    return {name.strip(): concept for concept in concepts for name in _NAMES[concept].split(";")}


_DOCUMENT = _table([concept for concept in _NAMES if concept not in COLUMNS])
_LINE = _table(list(COLUMNS))
