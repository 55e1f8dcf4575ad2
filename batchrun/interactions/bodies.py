"""A request body in pieces that are never put together: media make bodies of 100 MB, and every copy counts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import Any

#: What is handed to a connection at once.
_MOST = 256 * 1024


class Body:
    """Bytes in pieces. `len` is their sum, `bytes` puts them together after all."""

    def __init__(self, pieces: Iterable[bytes | mmap]) -> None:
        self._pieces = tuple(pieces)
        self._size = sum(map(len, self._pieces))

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self._pieces)

    def headed(self, head: bytes) -> Body:
        """The same with `head` in the place of its first byte, an opening brace."""
        first, *rest = self._pieces
        return Body((head, first[1 : len(first)], *rest))

    async def chunks(self) -> AsyncIterator[bytes]:
        """The pieces, cut so that one does not hold up the event loop."""
        for piece in self._pieces:
            for start in range(0, len(piece), _MOST):
                yield piece[start : start + _MOST]


@dataclass(frozen=True, slots=True)
class Base64:
    """A JSON string that is spliced in as it is, because base64 needs no escapes."""

    content: bytes | mmap


def encode(value: Any) -> bytes:
    """Compact JSON bytes. Raises ValueError for what JSON or UTF-8 cannot hold (NaN, lone surrogates)."""
    return _ENCODER.encode(value).encode()


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def spliced(value: Any) -> Iterator[bytes | mmap]:
    """Compact JSON of a value in which strings may be `Base64`, in pieces. Raises what `encode` raises."""
    match value:
        case Base64(content):
            yield b'"'
            yield content
            yield b'"'
        case Mapping() if _holds_base64(value):
            for number, (name, inner) in enumerate(value.items()):
                yield (b"," if number else b"{") + encode(name) + b":"
                yield from spliced(inner)
            yield b"}"
        case list() if _holds_base64(value):
            for number, inner in enumerate(value):
                yield b"," if number else b"["
                yield from spliced(inner)
            yield b"]"
        case _:
            yield encode(value)


def _holds_base64(value: Any) -> bool:
    if isinstance(value, Base64):
        return True
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return any(map(_holds_base64, inner))
