"""How a message proves where it comes from: HMAC by Standard Webhooks for static webhooks, a JWT for dynamic ones."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable

from batchrun.emulator.answers import dump
from batchrun.emulator.hooks.keys import Key, base64url

ISSUER = "https://generativelanguage.googleapis.com"
_PREFIX = "whsec_"
_TOKEN_SECONDS = 300


def new_secret(drawn: bytes) -> str:
    """A signing secret from 32 drawn bytes."""
    return _PREFIX + b64encode(drawn).decode()


def standard_signature(secrets: Iterable[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: one signature for each secret that is valid, so that secrets can be rotated."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_hmac(secret, signed)}" for secret in secrets)


def _hmac(secret: str, signed: bytes) -> str:
    key = b64decode(secret.removeprefix(_PREFIX))
    return b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def token(key: Key, uri: str, message_id: str, timestamp: int, body: bytes) -> str:
    """A JWT for the receiver at `uri`. The service's claims are not documented; here they hold the body's hash."""
    claims = {
        "iss": ISSUER,
        "aud": uri,
        "iat": timestamp,
        "exp": timestamp + _TOKEN_SECONDS,
        "jti": message_id,
        "body_sha256": hashlib.sha256(body).hexdigest(),
    }
    header = {"alg": "RS256", "typ": "JWT", "kid": key.name}
    signed = f"{base64url(dump(header))}.{base64url(dump(claims))}"
    return f"{signed}.{base64url(key.sign(signed.encode()))}"
