"""About how many tokens a request reads, before the service has said so, and how many at most. Pure.

Facts: the public pages on tokens and media resolution. About four characters of text make a token; an image or a page
is 258 tokens, or what its `resolution` says; a second of sound is 32, a second of video about 290.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from batchrun.interactions.models import MEDIA

CHARACTERS_PER_TOKEN = 4
#: No text has more tokens than it has pairs of bytes, whatever its script.
_BYTES_OF_TEXT = 2
#: The longest conversation that a model can read.
CONTEXT = 1_048_576
_PER_PAGE = 258
_BY_RESOLUTION = {"low": 280, "medium": 560, "high": 1_120, "ultra_high": 2_240}
#: Without a resolution: an image in 16 tiles of 768 pixels, a page as in the middle one.
_MOST = {"image": 16 * _PER_PAGE, "document": 560}
_MOST_PAGES = 1_000
#: The fields that the model reads; the others say how it is to work.
_READ = ("system_instruction", "input", "tools", "response_format")
#: Bytes that commonly make a token, and the fewest that may: sound at 32 kbit/s, video at 250 kbit/s, plain samples of
#: 8 bits 8,000 times a second.
_COMMONLY = {"audio": 250, "video": 1_000, "samples": 1_500}
_FEWEST = {"audio": 125, "video": 100, "samples": 250}
_SAMPLES = ("wav", "aiff", "l16", "pcm")


@dataclass(frozen=True, slots=True)
class Reading:
    """Input tokens: about so many, and at most so many."""

    tokens: int
    most: int

    def __add__(self, other: Reading) -> Reading:
        return Reading(self.tokens + other.tokens, self.most + other.most)


def reading_of(body: dict[str, Any]) -> Reading:
    """What a body is read as; for its files see `reading_of_medium`."""
    read = {name: body[name] for name in _READ if name in body}
    text = json.dumps(read, ensure_ascii=False)
    if '"data": "' not in text:
        return _of_text(text)
    carried = list(_carried(read))  # media that a row's own request or an earlier answer brings along
    characters = len(text) - sum(length for length, _ in carried)
    rest = Reading(characters // CHARACTERS_PER_TOKEN, characters * 4 // _BYTES_OF_TEXT)
    return sum((reading for _, reading in carried), rest)


def reading_of_medium(block: Mapping[str, Any], size: int, pages: int | None = None) -> Reading:
    """What a content block with a medium of so many bytes is read as. `pages` is None where nobody has counted them."""
    kind, mime_type = str(block.get("type")), str(block.get("mime_type")).lower()
    if kind in ("audio", "video"):
        packed = "samples" if any(name in mime_type for name in _SAMPLES) else kind
        return Reading(
            max(_PER_PAGE, size // _COMMONLY[packed]), _faster(block, max(_PER_PAGE, size // _FEWEST[packed]))
        )
    about = _BY_RESOLUTION.get(str(block.get("resolution")))
    if kind == "document" and "pdf" not in mime_type:
        return Reading(max(_PER_PAGE, size // CHARACTERS_PER_TOKEN), max(_PER_PAGE, size))
    most = pages or (_MOST_PAGES if kind == "document" else 1)
    return Reading((pages or 1) * (about or _PER_PAGE), most * (about or _MOST.get(kind, _PER_PAGE)))


def _of_text(text: str) -> Reading:
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return Reading(len(text) // CHARACTERS_PER_TOKEN, size // _BYTES_OF_TEXT)


def _faster(block: Mapping[str, Any], tokens: int) -> int:
    """The tokens of a video of which more than one frame a second is read."""
    processing = block.get("processing")
    fps = processing.get("fps") if isinstance(processing, dict) else None
    return int(tokens * min(max(fps, 1), 100)) if isinstance(fps, int | float) else tokens


def _carried(value: Any) -> Iterator[tuple[int, Reading]]:
    """Of each medium in a body: the length of its base64 text, and what it is read as. A function's result is text."""
    if isinstance(value, list):
        for inner in value:
            yield from _carried(inner)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if value.get("type") in MEDIA and name == "data" and isinstance(inner, str):
                yield len(inner), reading_of_medium(value, len(inner) * 3 // 4)
            else:
                yield from _carried(inner)
