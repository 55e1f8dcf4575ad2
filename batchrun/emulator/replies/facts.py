"""Values that stand in the prompt, found by the name of the field that wants them.

A start: a label in the text ("Total", "Invoice no.") and a value of the right type after it on the same line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache

#: Looking costs time for every field; a label that stands later in a text is not found.
_TEXT_LIMIT = 32_000
_MOST_MEMBERS = 500
_LINES_PER_LABEL = 20
#: Words that say little on their own: `vendor_name` is looked for as "vendor" before it is looked for as "name".
_GENERIC = frozenset({"name", "amount", "value", "number", "id", "code", "text", "date", "no", "field"})
_NUMBER_WORDS = r"(?:number|num|no|nr|id|#)\.?"
_NUMBER = re.compile(r"(?<![\w.,-])[-+]?\d[\d.,']*")
_QUOTED = re.compile(r"""["']?[^\S\n]*[:=#][^\S\n]*["']?(?P<value>[^\s"'][^\n"]{0,200})""")
_VALUE_END = re.compile(r"\s{2,}|[|;\t]|[\"'],|[\"'}\]]*$")
_ISO = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_DAY_FIRST = re.compile(r"\b(\d{1,2})[./](\d{1,2})[./](\d{4})\b")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAY_MONTH = re.compile(r"\b(\d{1,2})\.? ([A-Za-z]{3,9})\.?,? (\d{4})\b")
_MONTH_DAY = re.compile(r"\b([A-Za-z]{3,9})\.? (\d{1,2}),? (\d{4})\b")


class Facts:
    """A prompt's text to look values up in."""

    def __init__(self, text: str) -> None:
        self._text = text[:_TEXT_LIMIT]
        self._texts: dict[str, str | None] = {}

    def text(self, name: str) -> str | None:
        """What stands after the label and a colon, to the end of the value."""
        if name not in self._texts:
            self._texts[name] = self._find_text(name)
        return self._texts[name]

    def _find_text(self, name: str) -> str | None:
        for rest in self._after(name):
            if match := _QUOTED.match(rest):
                return _VALUE_END.split(match["value"], maxsplit=1)[0].strip() or None
        return None

    def number(self, name: str) -> float | None:
        for rest in self._after(name):
            for match in _NUMBER.finditer(rest):
                if (value := as_number(match[0])) is not None:
                    return value
        return None

    def date(self, name: str) -> str | None:
        """A date after the label, as YYYY-MM-DD."""
        return next((found for rest in self._after(name) if (found := as_date(rest))), None)

    def boolean(self, name: str) -> bool | None:
        value = (self.text(name) or "").lower()
        return {"yes": True, "true": True, "no": False, "false": False}.get(value)

    def words(self, name: str) -> list[str] | None:
        """A comma-separated list after the label."""
        value = self.text(name)
        return [part.strip() for part in value.split(",") if part.strip()] if value else None

    def member(self, name: str, members: list[str]) -> str | None:
        """The one of `members` that stands after the label, or else the only one that stands anywhere."""
        for rest in self._after(name):
            if found := _standing(members, rest):
                return found[0]
        anywhere = _standing(members, self._text)
        return anywhere[0] if len(anywhere) == 1 else None

    def _after(self, name: str) -> Iterator[str]:
        """The rest of each line after a label that means `name`, the best label first."""
        for pattern in label_patterns(name):
            for number, match in enumerate(pattern.finditer(self._text)):
                if number >= _LINES_PER_LABEL:
                    break
                yield match["rest"]


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


def as_number(text: str) -> float | None:
    """The number in `1,234.56`, `1.234,56`, `1'234` or `42.`; None if the marks do not make sense."""
    digits = text.rstrip(".,'").replace("'", "")
    comma, point = digits.rfind(","), digits.rfind(".")
    if comma > point:
        decimal = point >= 0 or len(digits) - comma - 1 != 3
        digits = digits.replace(".", "").replace(",", "." if decimal else "")
    else:
        digits = digits.replace(",", "")
    try:
        return float(digits)
    except ValueError:
        return None


def as_date(text: str) -> str | None:
    """The first date in the text as YYYY-MM-DD; of 03/04/2024 the day comes first."""
    if match := _ISO.search(text):
        return _iso(int(match[1]), int(match[2]), int(match[3]))
    if match := _DAY_FIRST.search(text):
        day, month, year = (int(part) for part in match.groups())
        return _iso(year, month, day) or _iso(year, day, month)
    if match := _DAY_MONTH.search(text):
        return _iso(int(match[3]), _month(match[2]), int(match[1]))
    if match := _MONTH_DAY.search(text):
        return _iso(int(match[3]), _month(match[1]), int(match[2]))
    return None


def _month(name: str) -> int:
    short = name[:3].lower()
    return _MONTHS.index(short) + 1 if short in _MONTHS else 0


def _iso(year: int, month: int, day: int) -> str | None:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def _standing(members: list[str], text: str) -> list[str]:
    return [m for m in members[:_MOST_MEMBERS] if m and re.search(rf"(?<!\w){re.escape(m)}(?!\w)", text, re.IGNORECASE)]
