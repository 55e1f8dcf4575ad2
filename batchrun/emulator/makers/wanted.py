"""Which media a request asks for: by its formats, by the deprecated fields before them, or by the model's own kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batchrun.emulator.envelopes import invalid
from batchrun.emulator.rules.request import Order

_MAKERS = (
    ("image", re.compile(r"-image|nano-banana")),
    ("audio", re.compile(r"-tts|^lyria")),
    ("video", re.compile(r"-omni")),
)
_SECONDS = re.compile(r"(\d{1,4}(?:\.\d{1,9})?)s")
_MADE = ("image", "audio", "video")
_PACKED = frozenset({"audio/mp3", "audio/ogg_opus"})
_LONGEST_VIDEO = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A medium to make. `form` is the response format that asks for it, empty where none does."""

    kind: str
    form: Mapping[str, Any]


def wanted_media(order: Order) -> list[Wanted]:
    """The media that an answer is to hold, in the order of the request; none for text alone.

    Raises `Refusal` for a combination of settings that the service does not take.
    """
    wanted = [Wanted(form["type"], form) for form in order.formats if form["type"] in _MADE]
    if not wanted:
        modalities = order.body.get("response_modalities") or ()
        wanted = [Wanted(kind, _deprecated(order, kind)) for kind in _MADE if kind in modalities]
    if not wanted and not order.formats and (kind := made_by(order.model or "")):
        wanted = [Wanted(kind, _deprecated(order, kind))]
    for medium in wanted:
        _check(medium)
    return wanted


def wants_text(order: Order) -> bool:
    """Whether text is asked for beside media."""
    return any(form["type"] == "text" for form in order.formats) or "text" in order.body.get("response_modalities", ())


def made_by(model: str) -> str | None:
    """The kind of media that a model makes when it is asked for nothing else."""
    name = model.removeprefix("models/")
    return next((kind for kind, pattern in _MAKERS if pattern.search(name)), None)


def tells_outputs(order: Order) -> bool:
    """Whether the model is one of those that also answer in the older shape, with `outputs` (so the SDK expects)."""
    return order.model in ("lyria-3-pro-preview", "lyria-3-clip-preview")


def video_seconds(form: Mapping[str, Any]) -> float:
    match = _SECONDS.fullmatch(form.get("duration") or "8s")
    return float(match[1]) if match else 0.0


def _deprecated(order: Order, kind: str) -> Mapping[str, Any]:
    """The settings of pictures stood in `generation_config` before there was a format for them."""
    return order.generation.get("image_config") or {} if kind == "image" else {}


def _check(medium: Wanted) -> None:
    form = medium.form
    if medium.kind == "video" and not 0 < video_seconds(form) <= _LONGEST_VIDEO:
        raise invalid(f"Invalid value at 'response_format.duration': {form.get('duration')!a}; write it as '8s'.")
    if medium.kind == "audio":
        if form.get("bit_rate") is not None and form.get("mime_type") not in _PACKED:
            raise invalid("'response_format.bit_rate' is only for compressed audio.")
        if not 8_000 <= (form.get("sample_rate") or 24_000) <= 48_000:
            raise invalid("'response_format.sample_rate' must lie between 8000 and 48000.")
