"""Images: format and size from the header. Pixels are not decoded, so a bomb costs nothing."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from batchrun.emulator import samples
from batchrun.emulator.media.medium import Medium, Unusable

Size = tuple[int, int]


def opened(mime: str, content: bytes) -> Medium:
    """The size of an image. Raises `Unusable` if it is broken, cut off or of another type than it says."""
    if content == samples.IMAGE:
        return Medium(mime, len(content), width=1, height=1)
    found = _format(content)
    if found is None:
        raise Unusable("the image cannot be read")
    if found != mime and {found, mime} != {"image/heic", "image/heif"}:
        raise Unusable(f"the image is {found}, not {mime}")
    try:
        width, height = _SIZES[found](content)
    except (struct.error, IndexError, ValueError):
        raise Unusable("the image is broken") from None
    if width < 1 or height < 1:
        raise Unusable("the image is broken")
    return Medium(mime, len(content), width=width, height=height)


def _format(content: bytes) -> str | None:
    if content[4:8] == b"ftyp":
        return "image/heic" if content[8:11] in (b"hei", b"hev") else "image/heif"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((mime for start, mime in _STARTS.items() if content.startswith(start)), None)


def _png(content: bytes) -> Size:
    if content[12:16] != b"IHDR" or b"IEND" not in content[-64:]:
        raise ValueError
    return _unpacked(">II", content, 16)


def _gif(content: bytes) -> Size:
    return _unpacked("<HH", content, 6)


def _bmp(content: bytes) -> Size:
    width, height = _unpacked("<ii", content, 18)
    return width, abs(height)


def _jpeg(content: bytes) -> Size:
    """The size in the frame header, found from marker to marker."""
    if b"\xff\xd9" not in content:
        raise ValueError
    at = 2
    while True:
        (marker,) = struct.unpack_from(">H", content, at)
        if marker & 0xFFF0 == 0xFFC0 and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
            height, width = _unpacked(">HH", content, at + 5)
            return width, height
        if marker < 0xFF01 or marker == 0xFFDA:
            raise ValueError
        at += 1 if marker == 0xFFFF else 2 + struct.unpack_from(">H", content, at + 2)[0]


def _webp(content: bytes) -> Size:
    match content[12:16]:
        case b"VP8X":
            return 1 + _little(content[24:27]), 1 + _little(content[27:30])
        case b"VP8L":
            bits = _little(content[21:25])
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            width, height = _unpacked("<HH", content, 26)
            return width & 0x3FFF, height & 0x3FFF
    raise ValueError


def _heif(content: bytes) -> Size:
    """The largest of the sizes that the file speaks of: thumbnails and tiles have sizes of their own."""
    sizes: list[Size] = []
    at = content.find(b"ispe")
    while at >= 0:
        sizes.append(_unpacked(">II", content, at + 8))
        at = content.find(b"ispe", at + 4)
    return max(sizes, key=lambda size: size[0] * size[1])


def _tiff(content: bytes) -> Size:
    order = "<" if content[:2] == b"II" else ">"
    (first,) = struct.unpack_from(f"{order}I", content, 4)
    (count,) = struct.unpack_from(f"{order}H", content, first)
    values: dict[int, int] = {}
    for at in range(first + 2, first + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(f"{order}HH", content, at)
        values[tag] = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", content, at + 8)[0]
    return values.get(256, 0), values.get(257, 0)


def _unpacked(form: str, content: bytes, at: int) -> Size:
    first, second = struct.unpack_from(form, content, at)
    return int(first), int(second)


def _little(content: bytes) -> int:
    if not content:
        raise ValueError
    return int.from_bytes(content, "little")


_STARTS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"BM": "image/bmp",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
}
_SIZES: Mapping[str, Callable[[bytes], Size]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
    "image/bmp": _bmp,
    "image/webp": _webp,
    "image/tiff": _tiff,
    "image/heic": _heif,
    "image/heif": _heif,
}
