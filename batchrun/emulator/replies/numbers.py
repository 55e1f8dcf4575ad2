"""Numbers as people write them: 1,234.56 and 1.234,56, 1 234,56 and 1'234.56, Persian and Arabic digits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

#: One character for one character, so that places in the text stay what they are.
_PLAIN = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩٬٫−‑\u00a0\u202f\u2009’", "01234567890123456789'.--   '")
_JOINED = re.compile(r"(?<![\w.,'])-?\d[\d.,']*(?<![.,'])")
_SPACED = re.compile(r"(?<![\w.,'])-?(?:\d{1,3}(?: \d{3})+(?!\d)(?:[.,]\d+)?|\d[\d.,']*(?<![.,']))")
_COMMA = re.compile(r"\d,\d{1,2}(?![\d,])")
_POINT = re.compile(r"(?<!\.)\b\d+\.\d{1,2}(?![\d.])")
_GROUPED_BY_SPACE = re.compile(r"\d \d{3},\d\d(?!\d)")


class Found(NamedTuple):
    """A number in a text. `exact` is the count of its decimals."""

    value: float
    start: int
    end: int
    exact: int
    raw: str


def plain(text: str) -> str:
    """The text with western digits and plain spaces, of the same length."""
    return text if text.isascii() else text.translate(_PLAIN)


@dataclass(frozen=True, slots=True)
class Style:
    """How one text writes numbers: its decimal mark, if it shows one, and whether spaces group its digits."""

    decimal: str = ""
    spaced: bool = False

    @classmethod
    def of(cls, text: str) -> Style:
        """The habits of a text that has gone through `plain`."""
        commas, points = len(_COMMA.findall(text)), len(_POINT.findall(text))
        decimal = "," if commas > points else "." if points else ""
        return cls(decimal, bool(_GROUPED_BY_SPACE.search(text)))

    def value(self, raw: str) -> tuple[float, int] | None:
        """A number and the count of its decimals; None if its marks make no sense."""
        digits = raw.replace(" ", "").replace("'", "")
        mark = self._decimal_mark(digits)
        for other in ".,":
            if other != mark:
                digits = digits.replace(other, "")
        whole, _, rest = digits.partition(mark) if mark else (digits, "", "")
        try:
            return float(f"{whole}.{rest or 0}"), len(rest)
        except ValueError:
            return None

    def _decimal_mark(self, digits: str) -> str:
        comma, point = digits.rfind(","), digits.rfind(".")
        if comma < 0 and point < 0:
            return ""
        if comma >= 0 and point >= 0:
            return "," if comma > point else "."
        mark, at = (",", comma) if comma >= 0 else (".", point)
        if digits.count(mark) > 1:
            return ""
        if len(digits) - at - 1 != 3 or digits[:at].lstrip("-") == "0":
            return mark
        return mark if mark == (self.decimal or ".") else ""

    def numbers(self, text: str, *, spaced: bool | None = None) -> list[Found]:
        """The numbers in a piece of the text that has gone through `plain`, from left to right."""
        pattern = _SPACED if (self.spaced if spaced is None else spaced) else _JOINED
        found = []
        for match in pattern.finditer(text):
            if (value := self.value(match[0])) is not None:
                found.append(Found(value[0], match.start(), match.end(), value[1], match[0]))
        return found
