"""MP4 files with a single frame that is shown for the whole length (ISO/IEC 14496-12 and -15)."""

from __future__ import annotations

import struct
from functools import lru_cache

from batchrun.emulator.makers.h264 import frame, parameter_sets

_HEIGHTS = {"360p": 360, "720p": 720, "1080p": 1080, "4k": 2160}
_SCALE = 1000
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def dimensions(aspect_ratio: str, resolution: str) -> tuple[int, int]:
    short = _HEIGHTS[resolution]
    long = short * 16 // 9
    return (short, long) if aspect_ratio == "9:16" else (long, short)


@lru_cache(maxsize=16)
def movie(width: int, height: int, seconds: float, colour: tuple[int, int]) -> bytes:
    """An MP4 file of a frame that says EMULATED."""
    content = frame(width, height, colour)
    length = round(seconds * _SCALE)
    kind = _box(b"ftyp", b"isom", struct.pack(">I", 512), b"isomiso2avc1mp41")
    before = len(kind) + len(_movie_box(width, height, length, len(content), 0)) + 8
    return kind + _movie_box(width, height, length, len(content), before) + _box(b"mdat", content)


def _movie_box(width: int, height: int, length: int, size: int, offset: int) -> bytes:
    header = _full(
        b"mvhd", 0, struct.pack(">4I", 0, 0, _SCALE, length), struct.pack(">IHH8x", 0x10000, 0x100, 0), _MATRIX,
        bytes(24), struct.pack(">I", 2),
    )  # fmt: skip
    return _box(b"moov", header, _track(width, height, length, size, offset))


def _track(width: int, height: int, length: int, size: int, offset: int) -> bytes:
    header = _full(
        b"tkhd", 3, struct.pack(">5I8x4H", 0, 0, 1, 0, length, 0, 0, 0, 0), _MATRIX,
        struct.pack(">II", width << 16, height << 16),
    )  # fmt: skip
    clock = _full(b"mdhd", 0, struct.pack(">4IHH", 0, 0, _SCALE, length, 0x55C4, 0))
    handler = _full(b"hdlr", 0, struct.pack(">I4s12x", 0, b"vide"), b"emulated\0")
    place = _box(b"dinf", _full(b"dref", 0, struct.pack(">I", 1), _full(b"url ", 1)))
    media = _box(b"minf", _full(b"vmhd", 1, bytes(8)), place, _samples(width, height, length, size, offset))
    return _box(b"trak", header, _box(b"mdia", clock, handler, media))


def _samples(width: int, height: int, length: int, size: int, offset: int) -> bytes:
    return _box(
        b"stbl",
        _full(b"stsd", 0, struct.pack(">I", 1), _description(width, height)),
        _full(b"stts", 0, struct.pack(">III", 1, 1, length)),
        _full(b"stss", 0, struct.pack(">II", 1, 1)),
        _full(b"stsc", 0, struct.pack(">4I", 1, 1, 1, 1)),
        _full(b"stsz", 0, struct.pack(">III", 0, 1, size)),
        _full(b"stco", 0, struct.pack(">II", 1, offset)),
    )


def _description(width: int, height: int) -> bytes:
    sequence, picture = parameter_sets(width, height)
    sets = b"\xe1" + struct.pack(">H", len(sequence)) + sequence + b"\x01" + struct.pack(">H", len(picture)) + picture
    codec = _box(b"avcC", b"\x01" + sequence[1:4] + b"\xff" + sets)
    visual = struct.pack(">6xH16xHHIIIH32sHh", 1, width, height, 0x480000, 0x480000, 0, 1, b"\0", 24, -1)
    return _box(b"avc1", visual, codec)


def _box(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), name) + content


def _full(name: bytes, flags: int, *parts: bytes) -> bytes:
    return _box(name, struct.pack(">I", flags), *parts)
