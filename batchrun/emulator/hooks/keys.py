"""An RSA key for RS256, made from the emulator's seed.

Signing is a power modulo n, and a key that guards nothing but messages to this machine need not be secret; so this
takes no cryptography library. Same seed, same key: a JWKS that a receiver has cached outlives a restart.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import gcd

from batchrun.emulator.draws import digest

_EXPONENT = 65537
_PRIME_BYTES = 128
_SMALL_PRIMES = [n for n in range(3, 4000, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2))]
#: What PKCS #1 v1.5 puts before a SHA-256 hash (RFC 8017, section 9.2).
_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")


@dataclass(frozen=True, slots=True)
class Key:
    modulus: int
    private: int
    name: str

    @property
    def jwk(self) -> dict[str, str]:
        n, e = (base64url(number.to_bytes((number.bit_length() + 7) // 8)) for number in (self.modulus, _EXPONENT))
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.name, "n": n, "e": e}

    def sign(self, message: bytes) -> bytes:
        """The RSASSA-PKCS1-v1_5 signature of a message."""
        length = (self.modulus.bit_length() + 7) // 8
        ending = _SHA256 + hashlib.sha256(message).digest()
        padded = b"\x00\x01" + b"\xff" * (length - len(ending) - 3) + b"\x00" + ending
        return pow(int.from_bytes(padded), self.private, self.modulus).to_bytes(length)


@lru_cache(maxsize=8)
def key_of(seed: int) -> Key:
    """The key of an emulator. Takes a good part of a second the first time."""
    primes = _primes(seed)
    p, q = next(primes), next(primes)
    private = pow(_EXPONENT, -1, (p - 1) * (q - 1))
    return Key(p * q, private, digest("kid", seed).hex()[:16])


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _primes(seed: int) -> Iterator[int]:
    number = 0
    while True:
        drawn = b"".join(digest("prime", seed, number, part) for part in range(_PRIME_BYTES // 32))
        candidate = int.from_bytes(drawn) | 3 << (_PRIME_BYTES * 8 - 2) | 1  # two high bits: the product has 2048
        if gcd(candidate - 1, _EXPONENT) == 1 and _is_prime(candidate):
            yield candidate
        number += 1


def _is_prime(candidate: int) -> bool:
    """Miller and Rabin's test with the first small primes as witnesses; candidates are drawn, not chosen by a foe."""
    if any(candidate % prime == 0 for prime in _SMALL_PRIMES):
        return False
    twos = (candidate - 1 & 1 - candidate).bit_length() - 1
    return all(_passes(candidate, witness, twos) for witness in [2, *_SMALL_PRIMES[:11]])


def _passes(candidate: int, witness: int, twos: int) -> bool:
    power = pow(witness, candidate - 1 >> twos, candidate)
    if power in (1, candidate - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % candidate
        if power == candidate - 1:
            return True
    return False
