"""What a file is, by its first bytes, then its name, and which kind of part may carry it. Pure.

Plain text, Markdown, HTML, JSON, XML and source code are no document types of the API: such a file becomes a text
block. Containers that hold sound or pictures alike (MP4, WebM, Ogg) are what the part says they are.
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
#: Known well enough to be called by their names, and taken by nobody.
_OTHER_ZIP = {
    ".docm": "application/vnd.ms-word.document.macroenabled.12",
    ".xlsm": "application/vnd.ms-excel.sheet.macroenabled.12",
    ".xlsb": "application/vnd.ms-excel.sheet.binary.macroenabled.12",
    ".pptm": "application/vnd.ms-powerpoint.presentation.macroenabled.12",
    ".ppsx": "application/vnd.openxmlformats-officedocument.presentationml.slideshow",
    ".epub": "application/epub+zip",
    ".odg": "application/vnd.oasis.opendocument.graphics",
}
ACCEPTED: dict[str, frozenset[str]] = {
    "image": frozenset(f"image/{kind}" for kind in ("png", "jpeg", "webp", "heic", "heif", "gif", "bmp", "tiff")),
    "audio": frozenset(
        f"audio/{kind}"
        for kind in (
            "wav", "mp3", "aiff", "aac", "ogg", "flac", "mpeg", "m4a", "l16", "opus", "alaw", "mulaw", "webm",
        )
    ),
    "video": frozenset(
        f"video/{kind}" for kind in ("mp4", "mpeg", "mpg", "mov", "avi", "x-flv", "webm", "wmv", "3gpp")
    ),
    "document": frozenset({"application/pdf", "text/csv", *_OFFICE.values(), *_OLD_OFFICE.values()}),
}  # fmt: skip
ADVICE = {
    "image": "convert it to PNG or JPEG",
    "audio": "convert it to WAV or MP3",
    "video": "convert it to MP4",
    "document": "convert it to PDF",
}
"""What to do with a file that no part takes, by the type of the part it was meant for."""

#: Other names of types in the API's list.
_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/tif": "image/tiff",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-aiff": "audio/aiff",
    "audio/x-flac": "audio/flac",
    "audio/x-m4a": "audio/m4a",
    "audio/mp4": "audio/m4a",
    "audio/x-aac": "audio/aac",
    "video/quicktime": "video/mov",
    "video/x-msvideo": "video/avi",
    "video/x-ms-wmv": "video/wmv",
    "video/flv": "video/x-flv",
    "video/3gpp2": "video/3gpp",
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
        (rb"\x00...ftyp(?:heic|heix|heim|heis|hevc|hevx)", "image/heic"),
        (rb"\x00...ftyp(?:mif1|msf1)", "image/heif"),
        (rb"\x00...ftypavi[fs]", "image/avif"),
        (rb"R(?:IFF|F64)....WAVE", "audio/wav"),
        (rb"FORM....AIF[FC]", "audio/aiff"),
        (rb"fLaC", "audio/flac"),
        (rb"ID3[\x02-\x04]|\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef]", "audio/mp3"),
        (rb"\xff[\xf4\xf5\xfc\xfd][\x10-\xef]", "audio/mpeg"),
        (rb"\xff[\xf0\xf1\xf8\xf9]", "audio/aac"),
        (rb"OggS.{0,64}OpusHead", "audio/opus"),
        (rb"OggS.{0,64}\x80theora", "video/ogg"),
        (rb"OggS", "audio/ogg"),
        (rb"#!AMR", "audio/amr"),
        (rb"\x00...ftypM4[AB] ", "audio/m4a"),
        (rb"\x00...(?:ftypqt  |moov|mdat|wide|free|skip)", "video/mov"),
        (rb"\x00...ftyp3g[a-z0-9]", "video/3gpp"),
        (rb"\x00...ftyp", "video/mp4"),
        (rb"RIFF....AVI ", "video/avi"),
        (rb"\x1aE\xdf\xa3.{0,64}webm", "video/webm"),
        (rb"\x1aE\xdf\xa3", "video/x-matroska"),
        (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/wmv"),
        (rb"FLV\x01", "video/x-flv"),
        (rb"\x00\x00\x01[\xb3\xba]", "video/mpeg"),
        (rb"G(?=.{0,187}[\x00-\x08]).{187}G", "video/mp2t"),
        (rb".{0,1019}%PDF-", "application/pdf"),
        (rb"\{\\rtf", "application/rtf"),
        (rb"%!PS", "application/postscript"),
    )
)
#: A container's type in a part that it fits as well; `_SOUND` by the names of files that only hold sound.
_AS_AUDIO = {"video/mp4": "audio/m4a", "video/webm": "audio/webm", "video/3gpp": "audio/m4a", "video/mov": "audio/m4a"}
_AS_VIDEO = {"audio/m4a": "video/mp4"}
_SOUND = {".m4a": "audio/m4a", ".m4b": "audio/m4a", ".weba": "audio/webm", ".wma": "audio/x-ms-wma"}
_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ODF = re.compile(rb"PK\x03\x04.{26}mimetype(application/[\w.+-]+?)(?:PK|[^\w.+-])", re.DOTALL)
_OOXML = re.compile(rb"PK\x03\x04.{26}(word|xl|ppt)/", re.DOTALL)
_OOXML_TYPES = {b"word": _OFFICE[".docx"], b"xl": _OFFICE[".xlsx"], b"ppt": _OFFICE[".pptx"]}
HEAD = 4096
"""Bytes from the top of a file that decide what it is."""


def media_type(head: bytes, suffix: str, part: str = "") -> str | None:
    """The MIME type, TEXT, or None for binary content nobody here knows.

    `suffix` is lower case with its dot, `part` the type of the part that is to carry the file.
    """
    found = next((mime for pattern, mime in _MAGIC if pattern.match(head)), None)
    if found is not None:
        return _of_container(found, suffix, part)
    if head.startswith(_ZIP):
        return _zipped(head, suffix)
    if head.startswith(_OLE):
        return _OLD_OFFICE.get(suffix)
    if b"\x00" in head:
        return None
    return "text/csv" if suffix == ".csv" else TEXT


def _of_container(found: str, suffix: str, part: str) -> str:
    if part == "video":
        return _AS_VIDEO.get(found, found)
    if part == "audio" or suffix in _SOUND:
        named = _SOUND.get(suffix)
        return named if named and found.startswith("video/") else _AS_AUDIO.get(found, found)
    return found


def _zipped(head: bytes, suffix: str) -> str | None:
    """What is in a zip archive, by the names of its first members, and among those alike by its own name."""
    if (odf := _ODF.match(head)) is not None:
        return odf[1].decode()
    ooxml = _OOXML.search(head)
    return {**_OFFICE, **_OTHER_ZIP}.get(suffix) or (_OOXML_TYPES[ooxml[1]] if ooxml else None)


def essence(mime_type: str) -> str:
    """A MIME type as the API's list has it: without parameters, in lower case, by its usual name."""
    bare = mime_type.partition(";")[0].strip().lower()
    return _ALIASES.get(bare, bare)


def is_text(mime_type: str) -> bool:
    """Whether a MIME type names content that is sent as a text block."""
    bare = essence(mime_type)
    return bare in (TEXT, "application/json", "application/xml") or (bare.startswith("text/") and bare != "text/csv")


def part_for(mime_type: str) -> str | None:
    """The part type that carries a MIME type, if one does."""
    if is_text(mime_type):
        return "document"
    return next((part for part, accepted in ACCEPTED.items() if essence(mime_type) in accepted), None)
