"""Chance without a random generator: every draw is a hash of what it belongs to, so arrival order does not matter."""

from __future__ import annotations

from hashlib import blake2b

_SPAN = 2.0**64


def digest(*parts: object) -> bytes:
    """32 bytes that depend on every part and on where one part ends and the next begins."""
    hashed = blake2b(digest_size=32)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        hashed.update(len(data).to_bytes(8, "big"))
        hashed.update(data)
    return hashed.digest()


def fraction(drawn: bytes) -> float:
    """A number in the open interval (0, 1) from the first eight bytes of a digest."""
    return min((int.from_bytes(drawn[:8], "big") + 0.5) / _SPAN, 1 - 2.0**-53)


def uniform(*parts: object) -> float:
    """A number in the open interval (0, 1) that belongs to the parts."""
    return fraction(digest(*parts))
