"""About how many tokens a request reads, before the service has said so. Pure.

Facts: the public pages on tokens. About four characters of text make a token; an image or a page is 258 tokens, a
second of sound 32, a second of video about 263.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from batchrun.interactions.models import MEDIA

CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_PAGE = 258
#: The fields that the model reads; the others say how it is to work.
_READ = ("system_instruction", "input", "tools", "response_format")
#: Bytes that make a token where little is spent on a second: speech at 32 kbit/s, video at 500 kbit/s, and plain
#: samples of 16 bits 16,000 times a second.
_BYTES_PER_TOKEN = {"audio": 125, "video": 250}
_OF_SAMPLES = 1_000
_SAMPLES = ("wav", "aiff", "l16", "pcm")


def estimate_tokens(body: dict[str, Any]) -> int:
    """A rough count of input tokens, for pacing until the real usage is known; of files see `tokens_of_medium`."""
    read = {name: body[name] for name in _READ if name in body}
    text = json.dumps(read, ensure_ascii=False)
    if '"data": "' not in text:
        return len(text) // CHARACTERS_PER_TOKEN
    carried = list(_carried(read))  # media that a row's own request or an earlier answer brings along
    characters = len(text) - sum(length for length, _ in carried)
    return characters // CHARACTERS_PER_TOKEN + sum(tokens for _, tokens in carried)


def tokens_of_medium(kind: str, mime_type: str, size: int, pages: int = 1) -> int:
    """Of a medium of so many bytes: rather too many than too few. `pages` counts for documents and images."""
    if kind not in _BYTES_PER_TOKEN:
        return pages * _TOKENS_PER_PAGE
    samples = any(name in mime_type.lower() for name in _SAMPLES)
    return max(_TOKENS_PER_PAGE, size // (_OF_SAMPLES if samples else _BYTES_PER_TOKEN[kind]))


def _carried(value: Any) -> Iterator[tuple[int, int]]:
    """Of each medium in a body: the length of its base64 text, and its tokens. A function's result is text."""
    if isinstance(value, list):
        for inner in value:
            yield from _carried(inner)
    elif isinstance(value, dict):
        kind = value.get("type")
        for name, inner in value.items():
            if kind in MEDIA and name == "data" and isinstance(inner, str):
                yield len(inner), tokens_of_medium(kind, str(value.get("mime_type")), len(inner) * 3 // 4)
            else:
                yield from _carried(inner)
