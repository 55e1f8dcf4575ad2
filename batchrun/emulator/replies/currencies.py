"""Currencies: their codes and signs, and which one a text counts in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

_CODES = """
    AED ARS AUD BGN BHD BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP GEL HKD HRK HUF IDR ILS INR IQD IRR ISK JPY KES
    KRW KWD KZT MAD MXN MYR NGN NOK NZD OMR PEN PHP PKR PLN QAR RON RSD RUB SAR SEK SGD THB TND TRY TWD UAH USD UYU
    VND ZAR
"""
CODES = frozenset(_CODES.split())
#: A sign and the currencies that it may mean, the likeliest first; a longer sign goes before a shorter one.
_SIGNS: Mapping[str, tuple[str, ...]] = {
    "CA$": ("CAD",), "C$": ("CAD",), "US$": ("USD",), "A$": ("AUD",), "AU$": ("AUD",), "NZ$": ("NZD",), "HK$": ("HKD",),
    "S$": ("SGD",), "MX$": ("MXN",), "R$": ("BRL",), "S/": ("PEN",), "€": ("EUR",), "£": ("GBP",),
    "¥": ("JPY", "CNY"), "円": ("JPY",),
    "₺": ("TRY",), "TL": ("TRY",), "zł": ("PLN",), "Kč": ("CZK",), "kr": ("SEK", "NOK", "DKK"), "Ft": ("HUF",),
    "₹": ("INR",), "₽": ("RUB",), "₩": ("KRW",), "₴": ("UAH",), "₪": ("ILS",), "฿": ("THB",), "ریال": ("IRR",),
    "Fr.": ("CHF",), "SFr.": ("CHF",), "$": ("USD", "CAD", "AUD", "MXN"),
}  # fmt: skip
_BY_LANGUAGE = {"da": {"kr": "DKK"}, "zh": {"¥": "CNY"}, "ar": {"ریال": "SAR"}}
_NUMBER = r"[\d۰-۹]"
_CODE = re.compile(
    rf"\(([A-Z]{{3}})\)|(?<![A-Z])([A-Z]{{3}})\s?-?{_NUMBER}|{_NUMBER}\s?[^\w\s]?\s?([A-Z]{{3}})(?![A-Z])"
)
_ALTERNATIVES = "|".join(re.escape(sign) for sign in sorted(_SIGNS, key=len, reverse=True))
_SIGN = re.compile(rf"(?<!\w)({_ALTERNATIVES})\s?-?{_NUMBER}|{_NUMBER}\s?({_ALTERNATIVES})(?!\w)")
#: Anything that says "what follows or precedes is money".
MONEY = re.compile(rf"{_ALTERNATIVES}|\b(?:{'|'.join(sorted(CODES))})\b")


def currency_of(text: str, language: str | None, allowed: frozenset[str] = CODES) -> str | None:
    """The code of the currency that most amounts of a text carry. A written code goes before a sign."""
    written = Counter(match[match.lastindex or 0] for match in _CODE.finditer(text))
    codes = Counter({code: count for code, count in written.items() if code in CODES})
    if fitting := [code for code, _ in codes.most_common() if code in allowed]:
        return fitting[0]
    signs = Counter(match[match.lastindex or 0] for match in _SIGN.finditer(text))
    for sign, _ in signs.most_common():
        likely = _BY_LANGUAGE.get(language or "", {}).get(sign)
        options = [code for code in (likely, *_SIGNS[sign]) if code in allowed]
        if options:
            return options[0]
    return None
