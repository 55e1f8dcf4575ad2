"""Pages of a list: `page_size` and `page_token` in either spelling; a token is a position and nobody's business."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode

from batchrun.emulator.calls import Call
from batchrun.emulator.envelopes import classic

_MARK = b"page:"


def page_asked(call: Call, *, default: int, most: int) -> tuple[int, int]:
    """How many items the page may have, and the position that they come after."""
    query = call.query
    size = query.get("page_size") or query.get("pageSize") or "0"
    if not (size.isascii() and size.isdigit() and len(size) < 10):
        raise classic(400, "Invalid page size: expected a number of at least 0.")
    return min(int(size) or default, most), _position(query.get("page_token") or query.get("pageToken") or "")


def _position(token: str) -> int:
    if not token:
        return 0
    try:
        plain = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        plain = b""
    number = plain.removeprefix(_MARK)
    if plain == number or not number.isdigit() or len(number) > 18:
        raise classic(400, "Invalid page token.")
    return int(number)


def token_of(position: int) -> str:
    return urlsafe_b64encode(_MARK + b"%d" % position).rstrip(b"=").decode()
