"""Who sends a document and to whom it goes: by label, or by where a name stands on the page."""

from __future__ import annotations

import re

from batchrun.emulator.replies.labels import Page, words_of
from batchrun.emulator.replies.lexicon import COMPANY_FORMS

_SIGNATURE = re.compile(r"^-- ?$", re.MULTILINE)
_DIGIT = re.compile(r"\d")
_ADDRESS = re.compile(r",\s(?=[^,]*[\d@/])|,\s(?=.*,.*[\d@])|\s[/·•]\s|،\s")
_LONGEST = 100
_LOOKED_INTO = 160
_MOST_LABELS = 20
_LOOKED_AT = 40


def seller(text: str, page: Page) -> str | None:
    """The company that a document comes from."""
    for hit in page.of("seller")[:_MOST_LABELS]:
        if name := _cleaned(hit.rest or hit.below):
            return name
    return _signed(text) or _letterhead(page)


def buyer(page: Page) -> str | None:
    for hit in page.of("buyer")[:_MOST_LABELS]:
        if name := _cleaned(hit.rest or hit.below):
            return name
    return None


def _cleaned(value: str) -> str | None:
    """A name without the address that follows it on the same line."""
    name = _ADDRESS.split(value[:_LOOKED_INTO], maxsplit=1)[0].strip(" ,;:*")
    return name if 1 < len(name) <= _LONGEST and any(map(str.isalpha, name)) else None


def _signed(text: str) -> str | None:
    """The line below the mark that opens an e-mail's signature."""
    marks = list(_SIGNATURE.finditer(text))
    if not marks:
        return None
    lines = [line for line in text[marks[-1].end() :].split("\n") if line.strip()]
    return _cleaned(lines[0]) if lines else None


def _letterhead(page: Page) -> str | None:
    """The first line that is neither a title nor a label with its value."""
    pieces = page.pieces[:_LOOKED_AT]
    if not page.telling:
        return None
    values = {hit.below for piece in pieces if (hit := piece.hit) and not hit.rest and not hit.means("title")}
    for place, piece in enumerate(pieces):
        if piece.hit is None and piece.text not in values and (name := _cleaned(piece.text)):
            return _joined(name, [after.text for after in pieces[place + 1 : place + 3]])
    return None


def _joined(name: str, after: list[str]) -> str:
    """With the next line where the name was too long for one: it ends on a company form, or a lone word hangs over."""
    if len(after) < 2 or _is_company(name) or _DIGIT.search(after[0]) or len(after[0]) > 20:
        return name
    hanging = " " not in after[0].strip() and bool(_DIGIT.search(after[1])) and "@" not in after[1] and " " in name
    return f"{name} {after[0].strip()}" if hanging or _is_company(after[0]) else name


def _is_company(name: str) -> bool:
    words = [word for word, _ in words_of(name)]
    return any("".join(words[-count:]) in COMPANY_FORMS for count in (1, 2, 3))
