"""The models: the ones that the API's own client knows by name, with the limits that are published."""

from __future__ import annotations

from typing import Any

from batchrun.emulator.answers import Answer, json_answer
from batchrun.emulator.calls import Call
from batchrun.emulator.envelopes import classic
from batchrun.emulator.resources.paging import page_asked, token_of
from batchrun.emulator.service import Service

_TEXT = (1_048_576, 65_536)
_SPEECH = (8_192, 16_384)
_TEXT_MODELS = (
    "gemini-2.5-flash gemini-2.5-flash-lite gemini-2.5-pro gemini-3-flash-preview gemini-3.1-pro-preview "
    "gemini-3.1-pro-preview-customtools gemini-3.1-flash-lite gemini-3.5-flash gemini-3.5-flash-lite gemini-3.6-flash "
    "gemini-3.7-flash gemini-3.8-flash gemini-4-argon gemini-4-carbon gemini-4-hydrogen gemma-4-26b-a4b-it "
    "gemma-4-31b-it gemini-flash-latest gemini-flash-lite-latest gemini-pro-latest"
)
_OTHER_MODELS = (
    "gemini-2.5-flash-image gemini-3-pro-image nano-banana-pro-preview gemini-3.1-flash-image "
    "gemini-3.1-flash-lite-image gemini-nano-banana-2.1 gemini-3.5-transcribe lyria-3-clip-preview lyria-3-pro-preview "
    "lyria-3.5 gemini-omni-flash-preview gemini-omni-1.1-flash gemini-omni-1.2-flash"
)
_SPEECH_MODELS = "gemini-3.1-flash-tts-preview gemini-3.8-flash-tts gemini-3.8-flash-lite-tts"
MODELS = {
    **dict.fromkeys(_TEXT_MODELS.split(), _TEXT),
    **dict.fromkeys(_OTHER_MODELS.split(), (65_536, 32_768)),
    **dict.fromkeys(_SPEECH_MODELS.split(), _SPEECH),
}
_THINKERS = frozenset(_TEXT_MODELS.split())
_METHODS = ["createInteraction", "generateContent", "countTokens"]


def get(service: Service, call: Call, name: str) -> Answer:
    return json_answer(200, _view(known(name)))


def known(name: str) -> str:
    """The name if there is such a model. Raises `Refusal`."""
    if name not in MODELS:
        raise classic(404, f"models/{ascii(name)[1:-1]} is not found for this API version.")
    return name


def list_models(service: Service, call: Call) -> Answer:
    size, after = page_asked(call, default=50, most=1000)
    version = call.path.split("/")[1]
    # "-latest" aliases are only known to v1beta
    names = [name for name in MODELS if version == "v1beta" or not name.endswith("-latest")]
    page: dict[str, Any] = {"models": [_view(name) for name in names[after : after + size]]}
    if after + size < len(names):
        page["nextPageToken"] = token_of(after + size)
    return json_answer(200, page)


def _view(name: str) -> dict[str, Any]:
    inputs, outputs = MODELS[name]
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name.replace("-", " ").title(),
        "description": "Emulated: no model stands behind this name.",
        "inputTokenLimit": inputs,
        "outputTokenLimit": outputs,
        "supportedGenerationMethods": _METHODS,
        "thinking": name in _THINKERS,
    }
