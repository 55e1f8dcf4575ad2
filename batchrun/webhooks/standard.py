"""Messages of static webhooks, signed by Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`. Pure."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from typing import NoReturn

from batchrun.webhooks.message import Message

_PREFIX = "whsec_"
#: Shorter ones could be guessed, or are parts of one.
_SHORTEST = 16
#: Each costs a hash for each secret; a message signed by more secrets than these is not the service's.
_MOST_SIGNATURES = 16


class Secrets:
    """The secrets of static webhooks, several while one is rotated. Their repr does not hold them."""

    __slots__ = ("_keys",)

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        self._keys = keys

    def __repr__(self) -> str:
        return f"Secrets({len(self._keys)})"

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets cannot be pickled or copied")

    def signed(self, message: Message) -> bool:
        """Whether one of the secrets made one of the message's signatures. Takes as long whichever it is."""
        signatures = message.signature.encode("ascii", "replace").split(b" ")[:_MOST_SIGNATURES]
        given = [each[3:] for each in signatures if each.startswith(b"v1,")]
        content = f"{message.id}.{message.timestamp}.".encode() + message.body
        matches = [hmac.compare_digest(_signature(key, content), one) for key in self._keys for one in given]
        return any(matches)

    def sign(self, message_id: str, timestamp: int, body: bytes) -> str:
        """The `webhook-signature` header of a message of ours: a signature by each secret."""
        content = f"{message_id}.{timestamp}.".encode() + body
        return " ".join("v1," + _signature(key, content).decode() for key in self._keys)


def _signature(key: bytes, content: bytes) -> bytes:
    return b64encode(hmac.digest(key, content, hashlib.sha256))


def secrets_of(text: str) -> Secrets | None:
    """The secrets in a text, separated by spaces or commas, None if one is malformed. `whsec_` and base64 each."""
    keys = [_key(one) for one in re.split(r"[\s,]+", text) if one]
    return None if None in keys else Secrets(tuple(key for key in keys if key is not None))


def _key(secret: str) -> bytes | None:
    try:
        key = b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if secret.startswith(_PREFIX) and len(key) >= _SHORTEST else None
