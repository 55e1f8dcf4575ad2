"""Sound files: tones whose length follows a text. WAV and raw samples carry the tones, packed formats are silent."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from batchrun.emulator.draws import digest

#: Characters of a text that are spoken in a second, and the longest speech that the model's output limit allows.
_SPEED = 15
_LONGEST = 600.0
#: Tokens a second of sound: approximate, see `media.counting`.
TOKENS_A_SECOND = 32
_SCALE = (220.0, 246.9, 277.2, 293.7, 329.6, 370.0, 415.3, 440.0, 493.9, 554.4, 587.3, 659.3)
_LOUDNESS = 6000
_MP3_FRAME = bytes.fromhex("fffb94c4") + bytes(380)
_MP3_SECONDS = 1152 / 48_000
_OPUS_SILENCE = b"\xf8\xff\xfe"
_OPUS_SAMPLES = 960
Note = tuple[float, float]


def speech_notes(text: str, key: bytes) -> list[Note]:
    """A tone for every word, as long as it takes to say it; (frequency, seconds), with 0 for a pause."""
    notes: list[Note] = []
    left = _LONGEST
    for number, word in enumerate(text.split() or ["emulated"]):
        seconds = min(len(word) / _SPEED, left)
        notes += [(_SCALE[digest(key, number)[0] % len(_SCALE)], seconds), (0.0, min(1 / _SPEED, left))]
        left -= seconds + 1 / _SPEED
        if left <= 0:
            break
    return notes


def music_notes(key: bytes, seconds: float) -> list[Note]:
    """A tune of half-second notes."""
    return [(_SCALE[digest("tune", key, number)[0] % len(_SCALE)], 0.5) for number in range(round(seconds * 2))]


def sound(mime: str, notes: Iterable[Note], rate: int) -> tuple[bytes, float]:
    """A sound file and how many seconds it lasts."""
    notes = list(notes)
    seconds = sum(length for _, length in notes)
    match mime:
        case "audio/mp3" | "audio/mpeg":
            return _MP3_FRAME * math.ceil(seconds / _MP3_SECONDS), seconds
        case "audio/ogg_opus":
            return _ogg(math.ceil(seconds * 48_000 / _OPUS_SAMPLES)), seconds
        case "audio/alaw" | "audio/mulaw":
            table = _codes(mime)
            samples = b"".join(_samples(notes, rate))
            return bytes(table[high ^ 128] for high in samples[1::2]), seconds
    samples = b"".join(_samples(notes, rate))
    return (samples if mime == "audio/l16" else _wav(samples, rate)), seconds


def _samples(notes: Iterable[Note], rate: int) -> Iterator[bytes]:
    """16-bit little-endian samples. A tone is whole periods, so that it begins and ends at zero."""
    for frequency, seconds in notes:
        wanted = round(seconds * rate) * 2
        period = _period(frequency, rate)
        whole = wanted // len(period)
        yield period * whole + bytes(wanted - whole * len(period))


@lru_cache(maxsize=128)
def _period(frequency: float, rate: int) -> bytes:
    if not frequency:
        return bytes(2)
    count = max(2, round(rate / frequency))
    return struct.pack(f"<{count}h", *(round(_LOUDNESS * math.sin(2 * math.pi * i / count)) for i in range(count)))


def _wav(samples: bytes, rate: int) -> bytes:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    data = struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI4s", b"RIFF", 4 + len(form) + len(data), b"WAVE") + form + data


@lru_cache(maxsize=2)
def _codes(mime: str) -> bytes:
    """The code of every high byte of a sample, from -128 to 127, in telephone coding (ITU-T G.711)."""
    code = _alaw if mime == "audio/alaw" else _mulaw
    return bytes(code((high - 128) * 256) for high in range(256))


def _mulaw(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    size = min(abs(sample), 32_635) + 132
    exponent = size.bit_length() - 8
    return ~(sign | exponent << 4 | size >> (exponent + 3) & 15) & 0xFF


def _alaw(sample: int) -> int:
    sign = 0x80 if sample >= 0 else 0
    size = min(abs(sample), 32_767)
    exponent = max(size.bit_length() - 8, 0)
    return (sign | exponent << 4 | size >> (exponent + 3 if exponent else 4) & 15) ^ 0x55


def _ogg(packets: int) -> bytes:
    """Opus silence in Ogg pages of up to 50 packets."""
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, 24_000, 0, 0)
    name = b"batchrun emulator"
    tags = b"OpusTags" + struct.pack("<I", len(name)) + name + struct.pack("<I", 0)
    pages = [_ogg_page(2, 0, 0, [head]), _ogg_page(0, 0, 1, [tags])]
    for first in range(0, packets, 50):
        count = min(50, packets - first)
        last = first + count >= packets
        position = (first + count) * _OPUS_SAMPLES
        pages.append(_ogg_page(4 if last else 0, position, len(pages), [_OPUS_SILENCE] * count))
    return b"".join(pages)


def _ogg_page(flags: int, position: int, number: int, packets: list[bytes]) -> bytes:
    sizes = bytes(len(packet) for packet in packets)
    head = struct.pack("<4sBBqIII", b"OggS", 0, flags, position, 1, number, 0)
    page = head + bytes([len(sizes)]) + sizes + b"".join(packets)
    return page[:22] + struct.pack("<I", _ogg_crc(page)) + page[26:]


def _ogg_crc(page: bytes) -> int:
    crc = 0
    table = _crc_table()
    for byte in page:
        crc = (crc << 8 & 0xFFFFFFFF) ^ table[crc >> 24 ^ byte]
    return crc


@lru_cache(maxsize=1)
def _crc_table() -> Mapping[int, int]:
    table: dict[int, int] = {}
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = crc << 1 & 0xFFFFFFFF ^ (0x04C11DB7 if crc & 0x80000000 else 0)
        table[byte] = crc
    return table
