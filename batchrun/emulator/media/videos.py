"""Video: how long it lasts, from the movie header of MP4 and its kin; roughly by size for other containers."""

from __future__ import annotations

import struct

from batchrun.emulator.media.medium import Medium, Unusable

_BOXED = frozenset({"video/mp4", "video/mov", "video/3gpp"})
_STARTS: dict[str, tuple[bytes, ...]] = {
    "video/webm": (b"\x1aE\xdf\xa3",),
    "video/avi": (b"RIFF",),
    "video/x-flv": (b"FLV",),
    "video/wmv": (b"0&\xb2u",),
    "video/mpeg": (b"\0\0\1", b"G"),
    "video/mpg": (b"\0\0\1", b"G"),
}
#: Bytes a second where the length is not read: about 2 Mbit/s.
_PACKED = 250_000
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip")


def opened(mime: str, content: bytes) -> Medium:
    """The length of a video. Raises `Unusable` if it is broken or of another type than it says."""
    if mime in _BOXED and content[4:8] not in _FIRST_BOXES:
        raise Unusable(f"the file is no {mime}")
    if mime in _STARTS and not content.startswith(_STARTS[mime]):
        raise Unusable(f"the file is no {mime}")
    try:
        seconds = movie_seconds(content) if mime in _BOXED else len(content) / _PACKED
    except (struct.error, ValueError, ArithmeticError):
        raise Unusable("the video is broken") from None
    return Medium(mime, len(content), seconds=seconds)


def movie_seconds(content: bytes) -> float:
    """The length in the `mvhd` box of an MP4 file. Raises ValueError or struct.error if there is none."""
    at = content.index(b"mvhd") + 4
    if content[at : at + 1] == b"\x01":
        scale, length = struct.unpack_from(">IQ", content, at + 20)
    else:
        scale, length = struct.unpack_from(">II", content, at + 12)
    return float(length / scale)
