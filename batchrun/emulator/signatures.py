"""Signatures on thoughts and tool steps: a client sends them back untouched, with what they were made for.

There is no secret in them, so every emulator knows the signatures of all others.
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
    """Whether `sign` made this very signature for this very value."""
    salt = _plain(signature)[len(_MARK) : len(_MARK) + _SALT]
    return signature == sign(salt, signed)


def is_emulated(signature: str) -> bool:
    """Whether an emulator made it, be it for something else."""
    return _plain(signature).startswith(_MARK)


def _plain(signature: str) -> bytes:
    try:
        return b64decode(signature)
    except (binascii.Error, ValueError):
        return b""


def _proof(salt: bytes, signed: Any) -> bytes:
    return digest("signature", salt, _CANONICAL.encode(signed) if signed else "")


def calls_signed(calls: list[dict[str, Any]]) -> list[list[Any]]:
    """What a thought's signature covers: the function calls that it led to."""
    return [[call.get("id"), call.get("name"), call.get("arguments")] for call in calls]


def step_signed(step: dict[str, Any]) -> list[Any]:
    """What a tool step's own signature covers. Only a stream tells the result of a file search."""
    if step["type"] == "file_search_result":
        step = {**step, "result": None}
    return [step.get(name) for name in ("type", "id", "call_id", "arguments", "result")]
