"""JPEG pictures: a pattern that belongs to the prompt, the word EMULATED, the prompt's words. Pillow is loaded late."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

from batchrun.emulator.draws import digest

if TYPE_CHECKING:
    from PIL.Image import Image

ASPECTS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9", "1:8", "8:1", "1:4", "4:1")
#: Pixels on a side of a square picture, and what a picture costs in tokens (public model pages; 512 from its price).
SIZES = {"512": 512, "1K": 1024, "2K": 2048, "4K": 4096}
TOKENS = {"512": 747, "1K": 1120, "2K": 1120, "4K": 2000}
TOKENS_2_5 = 1290
_CELLS = 16
_MARK = "EMULATED"
_LONGEST = 240


def dimensions(aspect_ratio: str, size: str) -> tuple[int, int]:
    """Width and height: as many pixels as the square of that size, in steps of 16."""
    across, down = (int(part) for part in aspect_ratio.split(":"))
    side = SIZES[size]
    width, height = side * (across / down) ** 0.5, side * (down / across) ** 0.5
    return max(16, round(width / 16) * 16), max(16, round(height / 16) * 16)


def picture(words: str, key: bytes, width: int, height: int) -> bytes:
    """A JPEG file. The same words and key give the same picture."""
    from PIL import Image

    pattern = Image.frombytes("RGB", (_CELLS, _CELLS), _pattern(key))
    image = pattern.resize((width, height), Image.Resampling.NEAREST)
    _write(image, " ".join(words.split())[:_LONGEST])
    file = BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()


def _pattern(key: bytes) -> bytes:
    """A small picture of soft colours around one that belongs to the key."""
    base = digest("colour", key)[:3]
    noise = b"".join(digest("cells", key, number) for number in range(_CELLS * _CELLS * 3 // 32))
    return bytes(70 + base[place % 3] // 4 + grain // 8 for place, grain in enumerate(noise))


def _write(image: Image, words: str) -> None:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(image)
    width, height = image.size
    large = _font(max(8, min(width // 6, height // 4)))
    draw.text(
        (width / 2, height / 4), _MARK, fill="white", font=large, anchor="mm", stroke_width=2, stroke_fill="black"
    )
    small = _font(max(8, min(width // 22, height // 16)))
    lines = _lines(words, small, width * 0.9)
    draw.multiline_text((width * 0.05, height * 0.45), "\n".join(lines), fill="white", font=small)


def _lines(words: str, font: Any, width: float) -> list[str]:
    lines, line = [], ""
    for word in words.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line][:10]


@lru_cache(maxsize=32)
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)
