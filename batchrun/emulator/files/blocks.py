"""Content blocks whose bytes are an uploaded file: what the Files API hands to whoever opens media."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class FileBlock(dict[str, Any]):
    """A content block whose `uri` is an uploaded file. `path` is where its bytes are, `sha256` what they are."""

    def __init__(self, block: Mapping[str, Any], path: Path, sha256: str) -> None:
        super().__init__(block)
        self.path = path
        self.sha256 = sha256


def media_bytes(block: Mapping[str, Any]) -> bytes | None:
    """The bytes of a media block: inline or uploaded. None for an address elsewhere, which nobody fetches."""
    if block.get("data") is not None:
        return b64decode(block["data"])
    return block.path.read_bytes() if isinstance(block, FileBlock) else None
