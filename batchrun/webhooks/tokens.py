"""Messages of webhooks that a request names, signed by the service with a JWT (RS256). Its keys are public: a JWKS.

What the service claims in the token is documented in part only. What it does claim has to be true: times, the address,
the hash of the body. A token without a time is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from math import nan
from typing import Any

from batchrun.errors import SpecError
from batchrun.interactions.models import parse_json
from batchrun.webhooks.message import WINDOW, Message

#: Seconds between two looks at the service's keys: whoever forges tokens must not make us ask.
_LOOK_AGAIN = 60.0
_MOST_KEYS = 64
_LONGEST_TOKEN = 8192
_LAST = 1e11
Fetch = Callable[[], Awaitable[bytes | None]]


class Unknown(Exception):
    """The keys cannot be had now, so nobody can tell."""


class Keys:
    """The service's public keys by their ids, fetched when one is missing. `fetch` gives the JWKS, None if it fails.

    Raises SpecError where the library for signatures is not installed.
    """

    def __init__(self, fetch: Fetch) -> None:
        require_library()
        self._fetch = fetch
        self._keys: dict[str, Any] = {}
        self._looked_at = float("-inf")
        self._turn = asyncio.Lock()

    async def get(self, name: str) -> Any:
        """The key of this name, None if the service has none. Raises Unknown."""
        async with self._turn:
            clock = asyncio.get_running_loop().time
            if name not in self._keys and clock() - self._looked_at >= _LOOK_AGAIN:
                await self._look()
                self._looked_at = clock()
        if not self._keys:
            raise Unknown
        return self._keys.get(name)

    async def _look(self) -> None:
        if (found := keys_in(await self._fetch() or b"")) is not None:
            self._keys = found


def require_library() -> None:
    """Raises SpecError with what to do."""
    try:
        import cryptography  # noqa: F401
        import jwt  # noqa: F401
    except ImportError:
        raise SpecError(
            "--webhook-uri: messages to an address that requests name are signed with JWTs, and the library that "
            "checks them is not installed: pip install 'batchrun[webhooks]'. Nothing was sent."
        ) from None


def keys_in(jwks: bytes) -> dict[str, Any] | None:
    """The RSA keys of a JWKS by their ids, None where it is none."""
    import jwt

    document = parse_json(jwks)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        return None
    keys = {}
    for each in listed[:_MOST_KEYS]:
        if isinstance(each, dict) and each.get("kty") == "RSA" and isinstance(each.get("kid"), str):
            try:
                keys[each["kid"]] = jwt.PyJWK.from_dict(each, algorithm="RS256").key
            except (jwt.PyJWTError, ValueError, TypeError):
                continue  # one that cannot be used does not spoil the others
    return keys


async def claims_of(message: Message, keys: Keys, uri: str, now: float) -> dict[str, Any] | None:
    """What the service claims of a message, None if it is not the service's, or not true. Raises Unknown."""
    import jwt

    token = message.signature
    if len(token) > _LONGEST_TOKEN:
        return None
    try:
        name = jwt.get_unverified_header(token).get("kid")
        key = await keys.get(name) if isinstance(name, str) else None
        if key is None:
            return None
        options: Any = {"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], options=options)
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    return claims if _true(claims, message, uri, now) else None


def _true(claims: dict[str, Any], message: Message, uri: str, now: float) -> bool:
    """Whether the claims fit the message, our address and the time."""
    if not any(name in claims for name in ("iat", "exp")):
        return False
    if "iat" in claims and not abs(now - _time(claims["iat"])) <= WINDOW:
        return False
    if "exp" in claims and not now <= _time(claims["exp"]):
        return False
    hashed = claims.get("body_sha256", (ours := hashlib.sha256(message.body).hexdigest()))
    return hmac.compare_digest(str(hashed).encode(), ours.encode()) and _for_us(claims.get("aud"), uri)


def _time(value: Any) -> float:
    """Unix seconds, NaN for what are none: every comparison with it is false."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LAST
    return float(value) if known else nan


def _for_us(audience: Any, uri: str) -> bool:
    """An audience that is an address has to be ours. The service may name its project instead, which we do not know."""
    named = audience if isinstance(audience, list) else [audience]
    addresses = [each for each in named if isinstance(each, str) and "://" in each]
    return not addresses or uri in addresses
