"""Content blocks as parts of a message to a model server: text, images, sound, and documents by their text."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from batchrun.emulator.files.blocks import media_bytes
from batchrun.emulator.media.medium import Unusable
from batchrun.emulator.media.opening import essence, open_bytes
from batchrun.emulator.media.pages import pages_seen, text_seen
from batchrun.emulator.replies.scans import read_scan

_SOUND = {"audio/wav": "wav", "audio/mp3": "mp3", "audio/mpeg": "mp3"}


async def part_of(block: Mapping[str, Any], *, text_only: bool) -> dict[str, Any]:
    """One part. Raises `Unusable` for what a model server cannot be given."""
    kind = block["type"]
    if kind == "text":
        return {"type": "text", "text": block["text"]}
    if text_only and kind != "document":
        raise Unusable(f"a model file reads no {kind}; --replies openai:URL can name a server whose model does")
    content = media_bytes(block)
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": _address(block, content)}}
    if content is None:
        raise Unusable(f"a {kind} behind a uri is not fetched; send it inline or upload it")
    mime = essence(block.get("mime_type") or "")
    if kind == "audio" and mime in _SOUND:
        data = b64encode(content).decode()
        return {"type": "input_audio", "input_audio": {"data": data, "format": _SOUND[mime]}}
    if kind == "document":
        return {"type": "text", "text": await _document_text(block, mime, content)}
    raise Unusable(f"{kind} ({mime}) cannot be forwarded to a model server")


def _address(block: Mapping[str, Any], content: bytes | None) -> str:
    if content is None:
        return str(block.get("uri"))
    return f"data:{block.get('mime_type')};base64,{b64encode(content).decode()}"


async def _document_text(block: Mapping[str, Any], mime: str, content: bytes) -> str:
    medium = open_bytes("document", mime, content)
    text = text_seen(block, medium)
    if text.strip() or mime != "application/pdf":
        return text
    return await read_scan(content, pages_seen(block, medium))
