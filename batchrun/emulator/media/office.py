"""Documents that are no PDF: CSV, office files. Their text as far as it is quickly had, and about how many pages."""

from __future__ import annotations

import re
import zipfile
import zlib
from html import unescape
from io import BytesIO

from batchrun.emulator.media.medium import Medium, Unusable

_TEXT_LIMIT = 120_000
#: No part of an office file is unpacked further than this, and no more parts than that.
_PART_LIMIT, _MOST_PARTS = 4 * 1024 * 1024, 60
_PAGE = 3_000
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLD = frozenset({"application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"})
_PARTS = re.compile(r"word/document\.xml|ppt/slides/slide\d+\.xml|xl/sharedStrings\.xml|content\.xml")
_BREAK = re.compile(rb"</(?:w:p|a:p|si|text:p|text:h)>")
_TAG = re.compile(rb"<[^>]*>")


def opened(mime: str, content: bytes) -> Medium:
    """Raises `Unusable` if the file is not of the type that it says."""
    if mime == "text/csv":
        text = _decoded(content)
    elif mime in _OLD:
        if not content.startswith(_OLE):
            raise Unusable(f"the file is no {mime}")
        text = ""
    else:
        text = _unzipped(content, mime)
    pages = max(1, -(-len(text or content) // _PAGE))
    return Medium(mime, len(content), pages=pages, text=text[:_TEXT_LIMIT])


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        if b"\0" in content:
            raise Unusable("the file is no text") from None
        return content.decode("latin-1")


def _unzipped(content: bytes, mime: str) -> str:
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if _PARTS.fullmatch(name)][:_MOST_PARTS]
            return "\n".join(_plain(_part(archive, name)) for name in names)
    # All that zipfile raises for a hostile archive: damaged, an unknown method, encrypted, cut off, odd names.
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError, ValueError):
        raise Unusable(f"the file is no {mime}") from None


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as part:
        return part.read(_PART_LIMIT)


def _plain(xml: bytes) -> str:
    text = _TAG.sub(b"", _BREAK.sub(b"\n", xml)).decode("utf-8", "replace")
    return unescape(text)[:_TEXT_LIMIT]
