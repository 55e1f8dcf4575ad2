"""Signatures on thoughts and tool steps: a client sends them back untouched, with what they were made for.

A signature of this emulator is checked against the steps that come back with it. One from elsewhere (a recorded
history, a placeholder in a sample) cannot be checked and is taken as it is.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, b64encode
from typing import Any

from batchrun.emulator.draws import digest

_MARK = b"emulated:"
_SALT = 16
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def sign(key: bytes, signed: Any) -> str:
    """A base64 signature over a JSON value; `key` (16 bytes or more) makes it differ between interactions."""
    salt = key[:_SALT]
    return b64encode(_MARK + salt + _proof(salt, signed)).decode()


def fits(signature: str, signed: Any) -> bool:
    """False only for a signature of this emulator that was made for something else."""
    try:
        plain = b64decode(signature)
    except (binascii.Error, ValueError):
        return False
    if not plain.startswith(_MARK):
        return True
    salt = plain[len(_MARK) : len(_MARK) + _SALT]
    return plain == _MARK + salt + _proof(salt, signed)


def _proof(salt: bytes, signed: Any) -> bytes:
    return digest("signature", salt, _CANONICAL.encode(signed) if signed else "")


def calls_signed(calls: list[dict[str, Any]]) -> list[list[Any]]:
    """What a thought's signature covers: the function calls that it led to."""
    return [[call.get("id"), call.get("name"), call.get("arguments")] for call in calls]


def step_signed(step: dict[str, Any]) -> list[Any]:
    """What a tool step's own signature covers."""
    return [step.get(name) for name in ("type", "id", "call_id", "arguments", "result")]
