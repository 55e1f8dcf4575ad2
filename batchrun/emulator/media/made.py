"""Blocks that the emulator makes."""

from __future__ import annotations

from typing import Any


class Made(dict[str, Any]):
    """An image, sound or video block of an answer. `tokens` is what it costs as output, which its bytes do not tell.

    `by_address` asks for a `uri` in the place of the `data`.
    """

    def __init__(self, block: dict[str, Any], tokens: int, *, by_address: bool = False) -> None:
        super().__init__(block)
        self.tokens = tokens
        self.by_address = by_address
