"""What a medium costs in tokens.

Sources: the public pages on tokens, images, documents and media resolution. A page or a small image is 258 tokens, a
larger image 258 for each tile of 768 pixels; `resolution` replaces both. Sound is 32 tokens a second, video 258 a frame
at one frame a second plus its sound; of these two rates no source for this API was found, so they are approximate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from batchrun.emulator.media.made import Made
from batchrun.emulator.media.medium import Medium
from batchrun.emulator.media.opening import look
from batchrun.emulator.media.pages import pages_seen

PER_PAGE = 258
PER_IMAGE = 258
PER_SECOND_OF_SOUND = 32
PER_FRAME = 258
_SMALL, _TILE = 384, 768
_BY_RESOLUTION = {"low": 280, "medium": 560, "high": 1120, "ultra_high": 2240}
_FRAME_BY_RESOLUTION = {"low": 70, "medium": 70, "high": 280, "ultra_high": 280}
#: What is referred to by a uri and not opened counts as one page, one image or this much of sound.
_UNSEEN_SECONDS = 10.0


def media_tokens(block: Mapping[str, Any]) -> int:
    """Tokens of an image, audio, video or document block. Nothing behind a uri elsewhere is fetched."""
    if isinstance(block, Made):
        return block.tokens
    unseen = Medium("", 0, pages=1, width=1, height=1, seconds=_UNSEEN_SECONDS)
    return tokens_of(block, look(block) or unseen)


def tokens_of(block: Mapping[str, Any], medium: Medium) -> int:
    resolution = block.get("resolution")
    match block["type"]:
        case "image":
            return _BY_RESOLUTION.get(resolution or "") or _tiles(medium) * PER_IMAGE
        case "document":
            return max(1, len(pages_seen(block, medium))) * _BY_RESOLUTION.get(resolution or "", PER_PAGE)
        case "audio":
            return max(1, round(_seconds(block, medium) * PER_SECOND_OF_SOUND))
    frame = _FRAME_BY_RESOLUTION.get(resolution or "", PER_FRAME)
    return max(1, round(_seconds(block, medium) * (frame + PER_SECOND_OF_SOUND)))


def _tiles(medium: Medium) -> int:
    """Images of up to 384 pixels are one tile; larger ones are cut into tiles of 768."""
    width, height = medium.width or 1, medium.height or 1
    if width <= _SMALL and height <= _SMALL:
        return 1
    return math.ceil(width / _TILE) * math.ceil(height / _TILE)


def _seconds(block: Mapping[str, Any], medium: Medium) -> float:
    """How long it lasts, or the part that is asked for; raw samples at the rate and channels that the block names."""
    seconds = medium.seconds or 0.0
    if medium.mime_type == "audio/l16":
        seconds *= 24_000 / max(1, block.get("sample_rate") or 24_000) / max(1, block.get("channels") or 1)
    asked = _processing(block)
    start, end = asked.get("start_offset") or "0s", asked.get("end_offset") or "infs"
    return max(0.0, min(float(end[:-1]), seconds) - float(start[:-1]))


def _processing(block: Mapping[str, Any]) -> Mapping[str, Any]:
    asked = block.get("processing")
    return asked if isinstance(asked, dict) else {}
