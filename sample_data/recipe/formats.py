"""How one vendor writes dates, numbers and money. Knows nothing of invoices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

_WHOLE_UNITS = {"JPY", "IRR"}
_NOWRUZ = {1403: date(2024, 3, 20), 1404: date(2025, 3, 21), 1405: date(2026, 3, 21)}


def rounded(amount: Decimal, currency: str) -> Decimal:
    """To the currency's smallest unit, halves away from zero, as on an invoice."""
    unit = Decimal(1) if currency in _WHOLE_UNITS else Decimal("0.01")
    return amount.quantize(unit, rounding=ROUND_HALF_UP)


def solar_hijri(day: date) -> tuple[int, int, int]:
    """Year, month and day in Iran's calendar: six months of 31 days from Nowruz on, then months of 30."""
    year, start = max((year, start) for year, start in _NOWRUZ.items() if start <= day)
    passed = (day - start).days
    if passed < 6 * 31:
        return year, passed // 31 + 1, passed % 31 + 1
    return year, (passed - 186) // 30 + 7, (passed - 186) % 30 + 1


@dataclass(frozen=True)
class Format:
    """`date` and `money` are templates; `months` are the names that `{month}` stands for."""

    group: str
    decimal: str
    date: str
    money: str
    months: tuple[str, ...] = ()
    digits: str = "0123456789"
    calendar: str = "gregorian"

    def in_digits(self, text: str) -> str:
        return text.translate(str.maketrans("0123456789", self.digits))

    def number(self, value: Decimal) -> str:
        text = f"{value:,f}".replace(",", "\0").replace(".", self.decimal).replace("\0", self.group)
        return self.in_digits(text)

    def brief(self, value: Decimal) -> str:
        """Without trailing zeros: quantities and tax rates."""
        whole = value.to_integral_value()
        return self.number(whole if value == whole else value.normalize())

    def amount(self, value: Decimal) -> str:
        text = self.money.format(self.number(abs(value)))
        return f"-{text}" if value < 0 else text

    def year_month_day(self, day: date) -> tuple[int, int, int]:
        return solar_hijri(day) if self.calendar == "solar_hijri" else (day.year, day.month, day.day)

    def day(self, day: date) -> str:
        y, m, d = self.year_month_day(day)
        month = self.months[m - 1] if self.months else ""
        return self.in_digits(self.date.format(y=y, m=m, d=d, month=month))
