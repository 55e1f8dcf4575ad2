"""What a file is called after its MIME type, and the header that makes bare sound samples a file. Pure.

A MIME type is the service's word: only known ones decide a name, and none that a double click would run.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

#: Where a MIME type's own name is not its extension.
_OTHERS = {
    "image/jpeg": "jpg",
    "audio/mpeg": "mp3",
    "audio/x-wav": "wav",
    "audio/ogg_opus": "ogg",
    "audio/mp4": "m4a",
    "audio/l16": "wav",
    "audio/alaw": "wav",
    "audio/mulaw": "wav",
    "video/quicktime": "mov",
    "video/x-msvideo": "avi",
    "video/x-flv": "flv",
    "video/3gpp": "3gp",
    "text/plain": "txt",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
}
_SAME = (
    *(f"image/{kind}" for kind in ("png", "webp", "heic", "heif", "gif", "bmp", "tiff")),
    *(f"audio/{kind}" for kind in ("wav", "mp3", "aiff", "aac", "ogg", "flac", "m4a", "opus", "webm")),
    *(f"video/{kind}" for kind in ("mp4", "mpeg", "mpg", "mov", "avi", "webm", "wmv")),
    "application/pdf", "text/csv",
)  # fmt: skip
_EXTENSIONS = {mime: mime.partition("/")[2] for mime in _SAME} | _OTHERS

#: Bare samples: the format tag of a WAV file and the bytes of a sample. L16 is little-endian, as the service sends it.
_SAMPLES = {"audio/l16": (1, 2), "audio/alaw": (6, 1), "audio/mulaw": (7, 1)}
_RATE = 24_000
_HIGHEST_RATE = 768_000
_MOST_CHANNELS = 32


def extension_of(mime_type: object) -> str:
    """The extension of a file of this type, without a dot; `bin` for one that is not known."""
    return _EXTENSIONS.get(_bare(mime_type), "bin")


def sample_header(block: Mapping[str, Any], size: int, head: bytes) -> bytes:
    """What to write before `size` bytes of sound samples, so that players take them; empty for all else.

    `block` tells type, rate and channels (parameters of its MIME type, then its fields); `head` are the first bytes.
    """
    mime = block.get("mime_type")
    known = _SAMPLES.get(_bare(mime))
    if known is None or head.startswith(b"RIFF"):
        return b""
    (tag, width), given = known, {**block, **_parameters(mime)}
    rate = _whole(given.get("rate", given.get("sample_rate")), _HIGHEST_RATE) or _RATE
    channels = _whole(given.get("channels"), _MOST_CHANNELS) or 1
    frame = channels * width
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, channels, rate, rate * frame, frame, 8 * width)
    return struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form + struct.pack("<4sI", b"data", size)


def _bare(mime_type: object) -> str:
    return mime_type.partition(";")[0].strip().lower() if isinstance(mime_type, str) else ""


def _parameters(mime_type: object) -> dict[str, str]:
    """The parameters of a MIME type, such as `rate` in `audio/L16;codec=pcm;rate=24000`."""
    pairs = (part.partition("=") for part in str(mime_type)[:200].split(";")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _whole(value: object, highest: int) -> int | None:
    """A number from 1 to `highest`, None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        value = int(value)
    return value if type(value) is int and 1 <= value <= highest else None
