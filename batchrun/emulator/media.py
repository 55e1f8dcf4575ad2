"""What a medium costs in tokens, as far as it can be seen without decoding it."""

from __future__ import annotations

import re
import zlib
from base64 import b64decode
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

#: Tokens of one PDF page and of one image (public documentation); sound and video are rough guesses by size for now.
PER_PAGE = 258
PER_IMAGE = 258
_BYTES_PER_TOKEN = 512
_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_PAGE_COUNT = re.compile(rb"/Count\s+(\d{1,6})")
_STREAM = re.compile(rb"/ObjStm.{0,400}?stream\r?\n", re.DOTALL)
#: A bomb must not cost more than this.
_OBJECT_STREAMS = 100
_OBJECT_STREAM_LIMIT = 1024 * 1024


def media_tokens(block: Mapping[str, Any]) -> int:
    """Tokens of an image, audio, video or document block. A uri counts as one image or page: nothing is fetched."""
    data = block.get("data")
    if data is None or block["type"] == "image":
        return PER_IMAGE
    content = b64decode(data)
    if block["type"] != "document":
        return max(1, len(content) // _BYTES_PER_TOKEN)
    if block.get("mime_type") == "application/pdf":
        return pdf_pages(content) * PER_PAGE
    return max(1, len(content) // 4)


def pdf_pages(content: bytes) -> int:
    """The number of pages in a PDF, at least 1, found without a PDF library."""
    pages = len(_PAGE.findall(content)) + sum(len(_PAGE.findall(part)) for part in _object_streams(content))
    counts = [int(count) for count in _PAGE_COUNT.findall(content)]
    return max(1, pages or max(counts, default=1))


def _object_streams(content: bytes) -> Iterator[bytes]:
    """Compressed objects: newer PDF files keep their page objects there."""
    for match in islice(_STREAM.finditer(content), _OBJECT_STREAMS):
        packed = content[match.end() : match.end() + _OBJECT_STREAM_LIMIT]
        try:
            yield zlib.decompressobj().decompress(packed, _OBJECT_STREAM_LIMIT)
        except zlib.error:
            continue
