"""Rate limits by usage tier: the last table that was published (December 2025). Live values differ by project.

A model that is not in it gets the numbers of its kind: pro, flash, flash-lite, image or speech.
"""

from __future__ import annotations

from collections.abc import Mapping

from batchrun.emulator.quota import Limits
from batchrun.errors import SpecError

TIERS = ("free", "1", "2", "3")
_K, _M = 1_000, 1_000_000
#: (rpm, tpm, rpd) by tier, for models whose name holds all of these parts; the first that fits counts.
#: None is no limit, 0 is a model that the tier does not offer.
_Row = tuple[int | None, int | None, int | None]
_TABLE: Mapping[str, tuple[_Row, _Row, _Row, _Row]] = {
    "pro tts": ((0, 0, 0), (10, 10 * _K, 50), (100, 25 * _K, _K), (100, _M, None)),
    "tts": ((3, 10 * _K, 15), (10, 10 * _K, 100), (_K, 100 * _K, 10 * _K), (_K, _M, None)),
    "pro image": ((0, 0, 0), (20, 100 * _K, 250), (500, 500 * _K, 15 * _K), (5 * _K, 5 * _M, None)),
    "image": ((0, 0, 0), (500, 500 * _K, 2 * _K), (2 * _K, 1_500 * _K, 50 * _K), (5 * _K, 5 * _M, None)),
    "banana": ((0, 0, 0), (500, 500 * _K, 2 * _K), (2 * _K, 1_500 * _K, 50 * _K), (5 * _K, 5 * _M, None)),
    "flash-lite": ((15, 250 * _K, _K), (4 * _K, 4 * _M, None), (10 * _K, 10 * _M, None), (30 * _K, 30 * _M, None)),
    "2.5-pro": ((2, 125 * _K, 50), (150, 2 * _M, 10 * _K), (_K, 5 * _M, 50 * _K), (2 * _K, 8 * _M, None)),
    "pro": ((0, 0, 0), (50, _M, _K), (_K, 5 * _M, 50 * _K), (2 * _K, 8 * _M, None)),
    "": ((10, 250 * _K, 250), (_K, _M, 10 * _K), (2 * _K, 3 * _M, 100 * _K), (10 * _K, 8 * _M, None)),
}


def tier_limits(tier: str, model: str) -> Limits:
    """What a tier allows for a model. Raises SpecError for a tier that does not exist."""
    if tier not in TIERS:
        raise SpecError(f"there is no tier {tier!r}; choose one of {', '.join(TIERS)}")
    rows = next(rows for parts, rows in _TABLE.items() if all(part in model for part in parts.split()))
    rpm, tpm, rpd = rows[TIERS.index(tier)]
    return Limits(rpm, tpm, rpd)
