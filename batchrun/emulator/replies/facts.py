"""Values that stand in a document or a prompt, found by the name of the property that wants them.

Known names (`invoice_date`, `Rechnungsnummer`) are looked for under the labels that a dozen languages use for them;
any other name under a label that reads like it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cached_property, lru_cache

from batchrun.emulator.replies import money, parties
from batchrun.emulator.replies.currencies import CODES, currency_of
from batchrun.emulator.replies.dates import find_date, writes_month_first
from batchrun.emulator.replies.labels import Page
from batchrun.emulator.replies.languages import NAMES, language_of
from batchrun.emulator.replies.names import AMOUNTS, column_of, concept_of, name_words
from batchrun.emulator.replies.numbers import Style, plain
from batchrun.emulator.replies.rows import Row, rows_of
from batchrun.emulator.replies.sheets import records

#: Looking costs time for every field; a label that stands later in a text is not found.
_TEXT_LIMIT = 60_000
_MOST_MEMBERS = 500
_LINES_PER_LABEL = 20
#: Words that say little on their own: `vendor_name` is looked for as "vendor" before it is looked for as "name".
_GENERIC = frozenset({"name", "amount", "value", "number", "id", "code", "text", "date", "no", "field"})
_NUMBER_WORDS = r"(?:number|num|no|nr|id|#)\.?"
_QUOTED = re.compile(r"""["']?[^\S\n]*[:=#][^\S\n]*["']?(?P<value>[^\s"'][^\n"]{0,200})""")
_VALUE_END = re.compile(r"\s{2,}|[|;\t]|[\"'],|,\s+\w[\w ]{0,20}:\s|[\"'}\]]*$")
_SHAPES = {
    "email": re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}"),
    "url": re.compile(r"https?://[^\s<>\"')\]]{1,300}"),
    "iban": re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"),
}
_CODE = re.compile(r"[^\W_]*[\w./-]*\d[\w./-]*")
_LONGEST_CODE = 30
_OPENING = 2_000
#: What begins this far from its label belongs to something else.
_NEAR = 12


class Facts:
    """A text to look values up in."""

    def __init__(self, text: str) -> None:
        self._text = text[:_TEXT_LIMIT]
        self._page = Page(self._text)
        self._texts: dict[str, str | None] = {}

    @property
    def telling(self) -> bool:
        """Whether the text looks like a form, so that what it does not say is not there."""
        return bool(self._text) and self._page.telling

    @cached_property
    def language(self) -> str | None:
        return language_of(self._text, self._page)

    @cached_property
    def rows(self) -> list[Row]:
        return rows_of(self._text, self._page, self._style)

    @cached_property
    def _style(self) -> Style:
        return Style.of(plain(self._text))

    @cached_property
    def _month_first(self) -> bool:
        return writes_month_first(self._text)

    def text(self, name: str) -> str | None:
        """A piece of text for a property."""
        if name not in self._texts:
            self._texts[name] = self._find_text(name) if self._text else None
        return self._texts[name]

    def _find_text(self, name: str) -> str | None:
        concept = concept_of(name)
        match concept:
            case "seller":
                return self._quoted(name) or parties.seller(self._text, self._page)
            case "buyer":
                return parties.buyer(self._page)
            case "number" | "order" | "tax_id":
                return self._code(concept)
            case "date" | "due":
                return self.date(name)
            case "currency":
                return currency_of(self._text, self.language)
            case "language":
                return self.language
            case "email" | "url" | "iban":
                return self.shaped(concept)
        return self.date(name) if "date" in name_words(name) else self._quoted(name)

    def _quoted(self, name: str) -> str | None:
        """What stands after a label and a colon, to the end of the value."""
        for rest in self._after(name):
            if match := _QUOTED.match(rest):
                return _VALUE_END.split(match["value"], maxsplit=1)[0].strip() or None
        return None

    def _code(self, concept: str) -> str | None:
        """A number as printed: the whole value if it is short, or its first word with a digit."""
        for hit in self._page.of(concept):
            value = (hit.rest or hit.below).strip()
            found = _CODE.search(value)
            if found and found.start() <= _NEAR:
                short = len(value) <= _LONGEST_CODE and value.count(" ") < 3
                return value if short else found[0].rstrip(".")
        return None

    def number(self, name: str) -> float | None:
        concept = concept_of(name) if self._text else None
        if concept in AMOUNTS and (found := money.amount_of(concept, self._page, self._style)) is not None:
            return found
        for rest in self._after(name):
            if numbers := self._style.numbers(plain(rest)):
                return numbers[0].value
        return None

    def date(self, name: str) -> str | None:
        """A date beside the label, as YYYY-MM-DD."""
        concept = concept_of(name)
        if self._text and concept in ("date", "due"):
            for hit in self._page.of(concept):
                found = find_date(hit.rest or hit.below, month_first=self._month_first)
                if found and found.start <= _NEAR:
                    return found.iso
        labelled = (find_date(rest, month_first=self._month_first) for rest in self._after(name))
        found = next(filter(None, labelled), None)
        if found is None and concept == "date":  # a letter is dated without a label
            found = find_date(self._text[:_OPENING], month_first=self._month_first)
        return found.iso if found else None

    def boolean(self, name: str) -> bool | None:
        value = (self._quoted(name) or "").lower()
        return {"yes": True, "true": True, "no": False, "false": False}.get(value)

    def words(self, name: str) -> list[str] | None:
        """A comma-separated list after the label."""
        value = self._quoted(name)
        return [part.strip() for part in value.split(",") if part.strip()] if value else None

    def member(self, name: str, members: list[str]) -> str | None:
        """The one of `members` that the text means: by sense, after the label, or the only one that stands anywhere."""
        if not self._text:
            return None
        if (found := self._sensed(name, members)) is not None:
            return found
        for rest in self._after(name):
            if standing := _standing(members, rest):
                return standing[0]
        anywhere = _standing(members, self._text)
        return anywhere[0] if len(anywhere) == 1 else None

    def _sensed(self, name: str, members: list[str]) -> str | None:
        concept = concept_of(name)
        if concept == "currency":
            by_code = {member.upper(): member for member in members}
            code = currency_of(self._text, self.language, CODES & frozenset(by_code))
            return by_code.get(code or "")
        if concept == "language" and self.language is not None:
            means = (member for member in members if _language_code(member) == self.language)
            return next(means, None)
        return None

    def shaped(self, shape: str) -> str | None:
        """The first e-mail address, web address or IBAN."""
        pattern = _SHAPES.get(shape)
        found = pattern.search(self._text) if pattern is not None else None
        return found[0].rstrip(".,") if found else None

    def records(self, names: Collection[str]) -> list[dict[str, str]]:
        """The records of a table with columns of these names."""
        return records(self._text, names) if self._text else []

    def known(self, name: str) -> bool:
        return bool(self._text) and (self.text(name) is not None or self.number(name) is not None)

    def _after(self, name: str) -> Iterator[str]:
        """The rest of each line after a label that reads like `name`, the best label first."""
        patterns = label_patterns(name) if self._text else ()
        if self.telling and concept_of(name) is not None:
            patterns = patterns[:1]
        for pattern in patterns:
            for number, match in enumerate(pattern.finditer(self._text)):
                if number >= _LINES_PER_LABEL:
                    break
                yield match["rest"]


class RowFacts(Facts):
    """The facts of one line of a table."""

    def __init__(self, row: Row) -> None:
        super().__init__("")
        self._row = row

    @property
    def telling(self) -> bool:
        return True

    def text(self, name: str) -> str | None:
        return self._row.text(column_of(name) or "")

    def number(self, name: str) -> float | None:
        return self._row.number(column_of(name) or "")

    def known(self, name: str) -> bool:
        return self.text(name) is not None or self.number(name) is not None


class CellFacts(Facts):
    """The facts of one record whose columns have names."""

    def __init__(self, cells: dict[str, str]) -> None:
        super().__init__("")
        self._cells = cells

    @property
    def telling(self) -> bool:
        return True

    def text(self, name: str) -> str | None:
        return self._cells.get(" ".join(name_words(name))) or None

    def number(self, name: str) -> float | None:
        numbers = Style().numbers(plain(self.text(name) or ""))
        return numbers[0].value if numbers else None

    def date(self, name: str) -> str | None:
        found = find_date(self.text(name) or "")
        return found.iso if found else None

    def boolean(self, name: str) -> bool | None:
        return {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}.get(
            (self.text(name) or "").lower()
        )

    def member(self, name: str, members: list[str]) -> str | None:
        value = (self.text(name) or "").casefold()
        return next((member for member in members if member.casefold() == value), None)

    def known(self, name: str) -> bool:
        return self.text(name) is not None


@lru_cache(maxsize=512)
def label_patterns(name: str) -> tuple[re.Pattern[str], ...]:
    """Patterns for the labels that a field name may stand under, the most telling first."""
    words = [word for word in re.split(r"[^\w]+|_+|(?<=[a-z])(?=[A-Z])", name[:60]) if word]
    if not words:
        return ()
    shorter = [words[:-1], words[-1:]] if words[-1].lower() in _GENERIC else [words[-1:], words[:-1]]
    variants = [words, *(variant for variant in shorter if variant and variant != words)]
    return tuple(_label(variant) for variant in variants)


def _label(words: list[str]) -> re.Pattern[str]:
    parts = [_NUMBER_WORDS if word.lower() in ("number", "no") else re.escape(word) for word in words]
    label = r"[\s_-]{0,5}".join(parts)
    end = "" if parts[-1] == _NUMBER_WORDS else r"(?!\w)"
    return re.compile(rf"(?<!\w){label}{end}(?P<rest>[^\n]{{0,200}})", re.IGNORECASE)


def _language_code(member: str) -> str:
    name = member.casefold()
    return NAMES.get(name) or re.split(r"[-_]", name)[0]


def _standing(members: list[str], text: str) -> list[str]:
    return [m for m in members[:_MOST_MEMBERS] if m and re.search(rf"(?<!\w){re.escape(m)}(?!\w)", text, re.IGNORECASE)]
