"""The content blocks of an answer that holds media."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from batchrun.emulator.draws import digest
from batchrun.emulator.makers import movies, pictures, sounds
from batchrun.emulator.makers.wanted import Wanted, video_seconds
from batchrun.emulator.media.made import Made
from batchrun.emulator.prompts import Prompt

#: What a clip and a song last; the public pages name 30 seconds for the one and "a couple of minutes" for the other.
_CLIP, _SONG = 30.0, 120.0
#: Tokens a second of video: a guess, no source was found.
_VIDEO_TOKENS = 258


def made_block(wanted: Wanted, model: str, prompt: Prompt) -> Made:
    """A picture, a sound or a video, made from the prompt alone."""
    match wanted.kind:
        case "image":
            block = _image(wanted.form, model, prompt)
        case "audio":
            block = _audio(wanted.form, model, prompt)
        case _:
            return _video(wanted.form, prompt)  # the service sends video inline, whatever delivery says
    block.by_address = wanted.form.get("delivery") == "uri"
    return block


def _image(form: Mapping[str, Any], model: str, prompt: Prompt) -> Made:
    aspect, size = form.get("aspect_ratio"), form.get("image_size")
    aspect = aspect if aspect in pictures.ASPECTS else "1:1"
    size = size if size in pictures.SIZES else "1K"
    file = pictures.picture(prompt.text, prompt.key, *pictures.dimensions(aspect, size))
    tokens = pictures.TOKENS_2_5 if "2.5" in model else pictures.TOKENS[size]
    return _block("image", "image/jpeg", file, tokens)


def _audio(form: Mapping[str, Any], model: str, prompt: Prompt) -> Made:
    mime = form.get("mime_type") or "audio/wav"
    rate = form.get("sample_rate") or (8_000 if mime in ("audio/alaw", "audio/mulaw") else 24_000)
    if "lyria" in model:
        notes = sounds.music_notes(prompt.key, _CLIP if "clip" in model else _SONG)
    else:
        notes = sounds.speech_notes(prompt.text, prompt.key)
    file, seconds = sounds.sound(mime, notes, rate)
    block = _block("audio", mime, file, max(1, round(seconds * sounds.TOKENS_A_SECOND)))
    block |= {"sample_rate": rate, "channels": 1}
    return block


def _video(form: Mapping[str, Any], prompt: Prompt) -> Made:
    width, height = movies.dimensions(form.get("aspect_ratio") or "16:9", form.get("resolution") or "720p")
    seconds = video_seconds(form)
    blue, red, *_ = digest("video", prompt.key)
    file = movies.movie(width, height, seconds, (80 + blue % 96, 80 + red % 96))
    return _block("video", "video/mp4", file, max(1, round(seconds * _VIDEO_TOKENS)))


def _block(kind: str, mime: str, file: bytes, tokens: int) -> Made:
    return Made({"type": kind, "mime_type": mime, "data": b64encode(file).decode()}, tokens)
