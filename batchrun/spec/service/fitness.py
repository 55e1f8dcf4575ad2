"""Whether a model is made for what it is asked to write: text, pictures, sound, films. Pure.

Names tell what a model is for, and the list of models is open, so these are warnings, and only about known families.
"""

from __future__ import annotations

from collections.abc import Iterator

from batchrun.spec.asking import RequestSpec
from batchrun.spec.reading.positions import KeyPath
from batchrun.spec.service.kinds import kind_of
from batchrun.spec.service.shapes import Finding, Findings, advice

_MADE = {"text": "text", "image": "pictures", "audio": "sound", "video": "films"}
_SUCH_AS = {
    "text": "gemini-3.5-flash",
    "image": "gemini-3.1-flash-image",
    "audio": "gemini-3.8-flash-tts",
    "video": "gemini-omni-1.2-flash",
}


def of_the_formats(request: RequestSpec, model: str) -> Findings:
    """Answers of a kind that the model is not known to write. Models of films may write other kinds, too."""
    kind, forms = kind_of(model), [*_forms(request)]
    if kind is None or kind == "video":
        return
    for path, wanted in forms:
        if wanted not in (kind, "text"):
            yield advice((*path, "type"), f"{_writes(model, kind)}, not {_MADE[wanted]}; {_instead(wanted)}")
    if forms and all(wanted == "text" for _, wanted in forms) and kind != "text":
        path = ("response_format",)
        yield advice(path, f"{_writes(model, kind)}, and text alone is asked for; {_instead('text')}")


def of_the_settings(request: RequestSpec, model: str) -> Findings:
    """Settings of `generation_config` for another kind of answer."""
    kind, config = kind_of(model), request.generation_config or {}
    if kind is None:
        return
    if config.get("speech_config") is not None and kind not in ("audio", "video"):
        yield _idle("speech_config", f"{_writes(model, kind)}; {_instead('audio')}")
    if config.get("video_config") is not None and kind != "video":
        yield _idle("video_config", f"{_writes(model, kind)}; {_instead('video')}")
    if config.get("transcription_config") is not None and "transcribe" not in model:
        yield _idle("transcription_config", "it is for models such as gemini-3.5-transcribe")


def _idle(name: str, reason: str) -> Finding:
    return advice(("generation_config", name), f"this does nothing here: {reason}, or remove it")


def _forms(request: RequestSpec) -> Iterator[tuple[KeyPath, str]]:
    formats = request.response_format
    if isinstance(formats, list):
        yield from ((("response_format", index), form.type) for index, form in enumerate(formats))
    elif formats is not None:
        yield ("response_format",), formats.type


def _writes(model: str, kind: str) -> str:
    return f"{model} is known to write {_MADE[kind]}"


def _instead(kind: str) -> str:
    return f"name a model such as {_SUCH_AS[kind]}"
