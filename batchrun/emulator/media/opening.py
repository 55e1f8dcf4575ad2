"""Opens the media of a request. The last few are remembered by their content: the same file often comes many times."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from batchrun.emulator.envelopes import invalid
from batchrun.emulator.files.blocks import FileBlock
from batchrun.emulator.media import office, pdf, pictures, sound, videos
from batchrun.emulator.media.medium import Medium, Unusable

_REMEMBERED = 64
_DOCUMENT_LIMIT = 50 * 1024 * 1024
_INLINE_LIMIT = 100 * 1024 * 1024
#: An uploaded file above this is not read into memory, and its length guessed at so many bytes a second.
_OPENED = 256 * 1024 * 1024
_RATES = {"audio": 8_000, "video": 250_000}


class _Memory:
    """The media opened last, by a hash of what came in."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._media: OrderedDict[bytes, Medium | Unusable] = OrderedDict()

    def get(self, key: bytes) -> Medium | Unusable | None:
        found = self._media.pop(key, None)
        if found is not None:
            self._media[key] = found
        return found

    def put(self, key: bytes, medium: Medium | Unusable) -> None:
        self._media[key] = medium
        while len(self._media) > self._most:
            self._media.popitem(last=False)


_memory = _Memory(_REMEMBERED)


def look(block: Mapping[str, Any]) -> Medium | None:
    """The medium that came with a block or was uploaded for it; None for an address elsewhere, which nobody fetches.

    Raises `Refusal` if it is not what it says it is.
    """
    if block.get("data") is None and not isinstance(block, FileBlock):
        return None
    try:
        return open_block(block)
    except Unusable as unusable:
        raise invalid(f"Unable to process input {block['type']}: {unusable}.") from None


def open_block(block: Mapping[str, Any]) -> Medium:
    """The medium in the `data` of a content block, or of its uploaded file. Raises `Unusable`."""
    medium = _open(block)
    if medium.mime_type == "application/pdf":
        pdf.require_few(pages_asked(block, medium))
    return medium


def pages_asked(block: Mapping[str, Any], medium: Medium) -> int:
    """The pages of a document that a block is about, one at least."""
    processing = block.get("processing")
    asked = (processing.get("page_options") if isinstance(processing, dict) else None) or {}
    pages = medium.pages or 1
    return max(1, min(asked.get("end_page") or pages, pages) - (asked.get("start_page") or 1) + 1)


def _open(block: Mapping[str, Any]) -> Medium:
    kind, mime = block["type"], essence(block.get("mime_type") or "")
    if isinstance(block, FileBlock):
        key = blake2b(f"{block.sha256}|{kind}|{mime}".encode("utf-8", "replace"), digest_size=20).digest()
        return _remembered(key, lambda: _uploaded(kind, mime, block.path))
    data: str = block["data"]
    hashed = blake2b(data.encode("utf-8", "replace"), digest_size=20)
    hashed.update(f"|{kind}|{mime}".encode("utf-8", "replace"))
    return _remembered(hashed.digest(), lambda: _inline(kind, mime, data))


def _inline(kind: str, mime: str, data: str) -> Medium:
    content = _decoded(data)
    if len(content) > _INLINE_LIMIT:
        raise Unusable("inline media are at most 100 MB; upload the file with the Files API")
    return open_bytes(kind, mime, content)


def _uploaded(kind: str, mime: str, path: Path) -> Medium:
    """A file of the Files API; of very large ones only the size is looked at."""
    size = path.stat().st_size
    if size > _OPENED and kind in _RATES:
        return Medium(mime, size, seconds=size / _RATES[kind])
    return open_bytes(kind, mime, path.read_bytes() if size <= 2 * _OPENED else b"")


def open_bytes(kind: str, mime: str, content: bytes) -> Medium:
    """A medium of a content block's type, from bytes. Raises `Unusable`."""
    if not content:
        raise Unusable("the file is empty")
    if kind == "document" and len(content) > _DOCUMENT_LIMIT:
        raise Unusable("a document is at most 50 MB")
    match kind:
        case "image":
            return pictures.opened(mime, content)
        case "audio":
            return sound.opened(mime, content)
        case "video":
            return videos.opened(mime, content)
    return pdf.opened(content) if mime == "application/pdf" else office.opened(mime, content)


def essence(mime: str) -> str:
    """A MIME type without its parameters, in lower case."""
    return mime.partition(";")[0].strip().lower()


def _remembered(key: bytes, opening: Callable[[], Medium]) -> Medium:
    found = _memory.get(key)
    if found is None:
        try:
            found = opening()
        except Unusable as unusable:
            found = unusable
        _memory.put(key, found)
    if isinstance(found, Unusable):
        raise Unusable(str(found))
    return found


def _decoded(data: str) -> bytes:
    try:
        return b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Unusable("base64 decoding failed") from None
