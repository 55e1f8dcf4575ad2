"""Sound: how long it lasts. Exact for WAV, AIFF, FLAC and raw samples, roughly right for packed formats."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from batchrun.emulator.media.medium import Medium, Unusable
from batchrun.emulator.media.videos import movie_seconds

_RAW = {"audio/l16": 2, "audio/alaw": 1, "audio/mulaw": 1}
_RAW_RATE = {"audio/l16": 24_000, "audio/alaw": 8_000, "audio/mulaw": 8_000}
_STARTS: dict[str, tuple[bytes, ...]] = {
    "audio/wav": (b"RIFF", b"RF64"),
    "audio/aiff": (b"FORM",),
    "audio/ogg": (b"OggS",),
    "audio/opus": (b"OggS",),
    "audio/flac": (b"fLaC",),
    "audio/webm": (b"\x1aE\xdf\xa3",),
    "audio/mp3": (b"ID3", b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3", b"\xff\xe2"),
    "audio/aac": (b"\xff\xf1", b"\xff\xf9", b"ADIF", b"ID3"),
}
_STARTS["audio/mpeg"] = _STARTS["audio/mp3"]
#: Nothing lasts longer; a header that says so is broken.
_LONGEST = 1_000_000.0
#: Bytes a second of formats whose length is not read: about what speech is packed with.
_PACKED = 8_000
_MP3_RATES = (44_100, 48_000, 32_000)
_MP3_BITS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def opened(mime: str, content: bytes) -> Medium:
    """The length of a sound. Raises `Unusable` if it is broken or of another type than it says."""
    starts = _STARTS.get(mime)
    if starts is not None and not content.startswith(starts):
        raise Unusable(f"the file is no {mime}")
    try:
        seconds = _seconds(mime, content)
    except (struct.error, ArithmeticError, ValueError, IndexError, StopIteration):
        raise Unusable("the audio is broken") from None
    if not 0 <= seconds < _LONGEST:
        raise Unusable("the audio is broken")
    return Medium(mime, len(content), seconds=seconds)


def _seconds(mime: str, content: bytes) -> float:
    match mime:
        case "audio/wav":
            return _wav(content)
        case "audio/aiff":
            return _aiff(content)
        case "audio/flac":
            return _flac(content)
        case "audio/mp3" | "audio/mpeg":
            return _mp3(content)
        case "audio/ogg" | "audio/opus":
            return _ogg(content)
        case "audio/m4a":
            return movie_seconds(content)
    if mime in _RAW:
        return len(content) / _RAW[mime] / _RAW_RATE[mime]
    return len(content) / _PACKED


def _chunks(content: bytes, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and size of the chunks of a RIFF or IFF file."""
    at = 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from(f"{order}4sI", content, at)
        yield name, at + 8, min(size, len(content) - at - 8)
        at += 8 + size + size % 2


def _wav(content: bytes) -> float:
    if content[8:12] != b"WAVE":
        raise ValueError
    rate = 0
    for name, start, size in _chunks(content, "<"):
        if name == b"fmt ":
            (rate,) = struct.unpack_from("<I", content, start + 8)
        elif name == b"data":
            return float(size / rate)
    raise ValueError


def _aiff(content: bytes) -> float:
    for name, start, _ in _chunks(content, ">"):
        if name == b"COMM":
            frames, _bits, exponent, mantissa = struct.unpack_from(">IHHQ", content, start + 2)
            return float(frames / (mantissa * 2.0 ** (exponent - 16383 - 63)))
    raise ValueError


def _flac(content: bytes) -> float:
    (packed,) = struct.unpack_from(">Q", content, 18)
    return float((packed & 0xFFFFFFFFF) / (packed >> 44))


def _ogg(content: bytes) -> float:
    """From the last page's position; Opus counts in 48 kHz whatever the sound was, Vorbis in its own rate."""
    last = content.rfind(b"OggS")
    (position,) = struct.unpack_from("<q", content, last + 6)
    vorbis = content.find(b"\x01vorbis", 0, 256)
    rate = struct.unpack_from("<I", content, vorbis + 12)[0] if vorbis >= 0 else 48_000
    return float(max(position, 0) / rate)


def _mp3(content: bytes) -> float:
    """From the frame count that encoders put into the first frame; else as if all frames had its bit rate."""
    tag = _after_tag(content)
    at = next(i for i in (tag, *range(tag, min(len(content) - 4, tag + 65_536))) if _is_frame(content, i))
    header = int.from_bytes(content[at : at + 4], "big")
    mark = max(content.find(b"Xing", at, at + 48), content.find(b"Info", at, at + 48))
    first_version = header >> 19 & 3 == 3
    if mark >= 0 and content[mark + 7] & 1:
        rate = _MP3_RATES[header >> 10 & 3] / (1 if first_version else 2 if header >> 19 & 3 == 2 else 4)
        (frames,) = struct.unpack_from(">I", content, mark + 8)
        return float(frames * (1152 if first_version else 576) / rate)
    return float((len(content) - at) / (_MP3_BITS[first_version][header >> 12 & 15] * 125))


def _after_tag(content: bytes) -> int:
    if content[:3] != b"ID3":
        return 0
    size = 0
    for byte in content[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size


def _is_frame(content: bytes, at: int) -> bool:
    header = int.from_bytes(content[at : at + 4], "big")
    if header >> 21 != 0x7FF or header >> 17 & 3 != 1:
        return False
    return header >> 12 & 15 not in (0, 15) and header >> 10 & 3 != 3
