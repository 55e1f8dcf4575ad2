"""Bodies that no client should swallow whole: dribbled, giant, packed into a bomb. All of them are right JSON."""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import lru_cache

from batchrun.emulator.answers import Answer
from batchrun.emulator.faults import Rule

_PIECES = 20
_MEBIBYTE = b" " * 2**20
_GIANT = 256
_BOMB = 1024
#: The head of a gzip file without a name or a time.
_GZIP = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"


def dribbled(answer: Answer, rule: Rule) -> Answer:
    """The body a few bytes at a time, all of it after the rule's seconds."""
    size = max(1, -(-len(answer.body) // _PIECES))
    pieces = [answer.body[at : at + size] for at in range(0, len(answer.body), size)]
    waits = rule.delay / max(len(pieces), 1)
    return replace(answer, body=b"", later=tuple((waits, piece) for piece in pieces) + answer.later)


def giant(answer: Answer, rule: Rule) -> Answer:
    """256 MiB of white space inside the JSON."""
    blank = ((0.0, _MEBIBYTE),) * _GIANT
    return replace(answer, body=answer.body[:1], later=(*blank, (0.0, answer.body[1:]), *answer.later))


def bomb(answer: Answer, rule: Rule) -> Answer:
    """A megabyte of gzip that unpacks to a gibibyte of white space inside the JSON."""
    headers = (*answer.headers, (b"content-encoding", b"gzip"))
    return replace(answer, body=_packed(answer.body[:1], answer.body[1:]), headers=headers)


def _packed(start: bytes, end: bytes) -> bytes:
    """Deflated blocks can be repeated as they are once the packer has been flushed in full."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    opening = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    blank = packer.compress(_MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    closing = packer.compress(end) + packer.flush()
    check = zlib.crc32(end, _blank_check(zlib.crc32(start)))
    size = len(start) + _BOMB * len(_MEBIBYTE) + len(end)
    trailer = check.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")
    return _GZIP + opening + blank * _BOMB + closing + trailer


@lru_cache(maxsize=4)
def _blank_check(check: int) -> int:
    for _ in range(_BOMB):
        check = zlib.crc32(_MEBIBYTE, check)
    return check
