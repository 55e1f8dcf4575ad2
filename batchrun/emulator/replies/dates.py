"""Dates as people write them, in a dozen languages and two calendars, as YYYY-MM-DD."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import NamedTuple

from batchrun.emulator.replies.numbers import plain

_ISO = re.compile(r"(?<!\d)(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?!\d)")
_LITTLE = re.compile(r"(?<!\d)(\d{1,2})([./-]) ?(\d{1,2})\2 ?(\d{4})(?!\d)")
_DAY_MONTH = re.compile(
    r"(?<!\d)(\d{1,2})\.?(?: (?:de|of)\b)? ?([^\W\d_]{3,12})\.?,?(?: de)? (\d{4})(?!\d)", re.IGNORECASE
)
_MONTH_DAY = re.compile(r"(?<!\w)([^\W\d_]{3,12})\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})(?!\d)", re.IGNORECASE)
_MONTHS = """
    jan feb mar apr may jun jul aug sep oct nov dec
    januar februar märz april mai juni juli august september oktober november dezember
    janvier février mars avril mai juin juillet août septembre octobre novembre décembre
    enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
    janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro
    gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre
    januari februari maart april mei juni juli augustus september oktober november december
    januari februari mars april maj juni juli augusti september oktober november december
    stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia
    ledna února března dubna května června července srpna září října listopadu prosince
    ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık
    january february march april may june july august september october november december
"""
_NUMBERS = {name: place % 12 + 1 for place, name in enumerate(_MONTHS.split())}
#: Years of Iran's calendar that a reader may meet; earlier and later ones are taken for Gregorian.
_SOLAR = range(1300, 1500)
_SOLAR_EPOCH = date(2025, 3, 21), 1404
#: Years of the 33-year cycle (by remainder) that have a day more.
_SOLAR_LEAPS = frozenset({1, 5, 9, 13, 17, 22, 26, 30})


class FoundDate(NamedTuple):
    iso: str
    start: int
    end: int


def find_date(text: str, *, month_first: bool = False) -> FoundDate | None:
    """The first date in the text; of 03/04/2024 the day comes first unless said otherwise."""
    text = plain(text)
    matches = sorted(
        ((match.start(), rank, match) for rank, kind in enumerate(_KINDS) if (match := kind.search(text))),
        key=lambda item: item[:2],
    )
    for _, rank, match in matches:
        if iso := _read(rank, match, month_first):
            return FoundDate(iso, match.start(), match.end())
    return None


def writes_month_first(text: str) -> bool:
    """Whether the dates of a text say that the month comes first: one like 03/25/2024 and none like 25/03/2024."""
    pairs = [(int(match[1]), int(match[3])) for match in _LITTLE.finditer(plain(text))]
    return any(second > 12 for _, second in pairs) and not any(first > 12 for first, _ in pairs)


def _read(rank: int, match: re.Match[str], month_first: bool) -> str | None:
    if rank == 0:
        return _iso(int(match[1]), int(match[3]), int(match[4]))
    if rank == 1:
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        return (
            _iso(year, first, second) or _iso(year, second, first)
            if month_first
            else (_iso(year, second, first) or _iso(year, first, second))
        )
    named, numbered = (match[2], match[1]) if rank == 2 else (match[1], match[2])
    return _iso(int(match[3]), _month(named), int(numbered))


def _month(name: str) -> int:
    low = name.casefold().replace("i̇", "i")
    return _NUMBERS.get(low) or _NUMBERS.get(low[:3], 0)


def _iso(year: int, month: int, day: int) -> str | None:
    try:
        return (_solar(year, month, day) if year in _SOLAR else date(year, month, day)).isoformat()
    except ValueError:
        return None


def _solar(year: int, month: int, day: int) -> date:
    """A date of Iran's calendar: six months of 31 days from the spring equinox on, then months of 30."""
    if not (1 <= month <= 12 and 1 <= day <= (31 if month < 7 else 30)):
        raise ValueError
    start, anchor = _SOLAR_EPOCH
    low, high = sorted((year, anchor))
    days = sum(366 if between % 33 in _SOLAR_LEAPS else 365 for between in range(low, high))
    new_year = start + timedelta(days=days if year > anchor else -days)
    return new_year + timedelta(days=(month - 1) * 31 - max(0, month - 7) + day - 1)


_KINDS = (_ISO, _LITTLE, _DAY_MONTH, _MONTH_DAY)
