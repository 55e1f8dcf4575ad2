"""What a file is, by its first bytes, then its name, and which kind of part may carry it. Pure.

`text/plain`, Markdown, HTML and JSON are not document types of the API: such a file becomes a text block. Audio and
video come in by adding a row to `ACCEPTED` and their magic to `_MAGIC`.
"""

from __future__ import annotations

import re
from typing import Final

TEXT: Final = "text"
"""Stands for any file that is sent as a text block."""

_OFFICE = {
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".dotx": "application/vnd.openxmlformats-officedocument.wordprocessingml.template",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odp": "application/vnd.oasis.opendocument.presentation",
}
_OLD_OFFICE = {
    ".doc": "application/msword",
    ".xls": "application/vnd.ms-excel",
    ".ppt": "application/vnd.ms-powerpoint",
}
ACCEPTED: dict[str, frozenset[str]] = {
    "image": frozenset(f"image/{kind}" for kind in ("png", "jpeg", "webp", "heic", "heif", "gif", "bmp", "tiff")),
    "document": frozenset({"application/pdf", "text/csv", *_OFFICE.values(), *_OLD_OFFICE.values()}),
}
_MAGIC: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), mime)
    for pattern, mime in (
        (rb"\x89PNG\r\n\x1a\n", "image/png"),
        (rb"\xff\xd8\xff", "image/jpeg"),
        (rb"RIFF....WEBP", "image/webp"),
        (rb"GIF8[79]a", "image/gif"),
        (rb"BM....\x00\x00\x00\x00", "image/bmp"),
        (rb"II\*\x00|MM\x00\*", "image/tiff"),
        (rb"....ftyp(?:heic|heix|heim|heis|hevc|hevx)", "image/heic"),
        (rb"....ftyp(?:mif1|msf1)", "image/heif"),
        (rb".{0,1019}%PDF-", "application/pdf"),
    )
)
_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
HEAD = 1024
"""Bytes from the top of a file that decide what it is."""


def media_type(head: bytes, suffix: str) -> str | None:
    """The MIME type, TEXT, or None for binary content nobody here knows. `suffix` is lower case with its dot."""
    for pattern, mime in _MAGIC:
        if pattern.match(head):
            return mime
    if head.startswith(_ZIP):
        return _OFFICE.get(suffix)
    if head.startswith(_OLE):
        return _OLD_OFFICE.get(suffix)
    if b"\x00" in head:
        return None
    return "text/csv" if suffix == ".csv" else TEXT


def is_text(mime_type: str) -> bool:
    """Whether a MIME type names content that is sent as a text block."""
    bare = mime_type.partition(";")[0].strip().lower()
    return bare == TEXT or (bare.startswith("text/") and bare != "text/csv") or bare == "application/json"


def part_for(mime_type: str) -> str | None:
    """The part type that carries a MIME type, if one does."""
    if is_text(mime_type):
        return "document"
    return next((part for part, accepted in ACCEPTED.items() if mime_type in accepted), None)
