"""Small pictures, a sound, a film and a leaflet, for jobs that look and listen. The same bytes every time."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from io import BytesIO
from itertools import cycle, islice
from math import cos, pi, sin

from PIL import Image, ImageDraw
from recipe.sheet import Sheet

from batchrun.emulator.makers.movies import movie

_RATE = 8_000
_LOUDNESS = 9_000
#: The four tones of the chime, in Hz, and the seconds that each of them lasts.
_TONES = (659, 523, 587, 392)
_TONE_SECONDS = 0.4
_FILM_SECONDS = 4.0
#: Morning, noon and evening, in hours and minutes.
_TIMES = ((8, 0), (12, 30), (17, 45))
_LEAFLET = (
    ("The Clock Museum", "Three hundred clocks in an old grain mill: tower clocks, cuckoo clocks, a clock of water."),
    ("Opening hours", "Tuesday to Friday, 10 to 17. Saturday and Sunday, 9 to 18. Closed on Mondays and in February."),
    ("Guided tours", "Every Sunday at 11, in sign language on the first Sunday of the month. Groups by arrangement."),
)


def media() -> Iterator[tuple[str, bytes]]:
    """Every file: its name and what is in it."""
    for number, (hour, minute) in enumerate(_TIMES, 1):
        yield f"clock-{number}.png", _clock(hour, minute)
    yield "chime.wav", _chime()
    yield "film.mp4", movie(320, 180, _FILM_SECONDS, (90, 160))
    yield "leaflet.pdf", _leaflet()


def _clock(hour: int, minute: int, size: int = 192) -> bytes:
    picture = Image.new("RGB", (size, size), (236, 240, 241))
    draw, middle = ImageDraw.Draw(picture), size / 2
    draw.ellipse((8, 8, size - 8, size - 8), fill=(255, 255, 255), outline=(44, 62, 80), width=4)
    for mark in range(12):
        draw.line([_point(middle, mark / 12, 74), _point(middle, mark / 12, 82)], fill=(44, 62, 80), width=2)
    draw.line([(middle, middle), _point(middle, (hour + minute / 60) / 12, 42)], fill=(44, 62, 80), width=6)
    draw.line([(middle, middle), _point(middle, minute / 60, 66)], fill=(192, 57, 43), width=3)
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _point(middle: float, turn: float, length: float) -> tuple[int, int]:
    """The end of a hand; whole pixels, so that it is the same wherever sines differ in their last digit."""
    return round(middle + length * sin(2 * pi * turn)), round(middle - length * cos(2 * pi * turn))


def _chime() -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, _RATE, 0, "NONE", "not compressed"))
        for tone in _TONES:
            sound.writeframes(b"".join(islice(cycle(_period(tone)), round(_RATE * _TONE_SECONDS))))
    return file.getvalue()


def _period(tone: int) -> list[bytes]:
    """One period of a triangle wave, in 16-bit samples."""
    count = round(_RATE / tone)
    heights = (abs(4 * n - 2 * count) - count for n in range(count))
    return [(height * _LOUDNESS // count).to_bytes(2, "little", signed=True) for height in heights]


def _leaflet() -> bytes:
    sheet = Sheet("Helvetica")
    for number, (heading, text) in enumerate(_LEAFLET):
        if number:
            sheet.add_page()
        sheet.line_of(heading, 18, bold=True)
        sheet.line_of(text, 12)
    return bytes(sheet.output())
