"""countTokens: takes `contents` in the shape of generateContent, counts them as an interaction would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from batchrun.emulator.answers import Answer, json_answer
from batchrun.emulator.calls import Call
from batchrun.emulator.envelopes import Refusal, classic
from batchrun.emulator.files.references import attach_files
from batchrun.emulator.reading import read_body
from batchrun.emulator.resources.models import known
from batchrun.emulator.rules.content import steps_of
from batchrun.emulator.service import Service
from batchrun.emulator.usage import step_tokens

_KINDS = ("image", "audio", "video")


def count(service: Service, call: Call, model: str) -> Answer:
    known(model)
    asked = read_body(call.body)
    nested = _either(asked, "generate_content_request", "generateContentRequest") or {}
    contents = asked.get("contents") or (nested.get("contents") if isinstance(nested, dict) else None)
    blocks = [_block(part) for part in _parts(contents)]
    if not blocks:
        raise classic(400, "* CountTokensRequest.contents: contents is not specified")
    tokens = _tokens(service, blocks)
    details = [{"modality": kind.upper(), "tokenCount": count} for kind, count in tokens.items() if count]
    return json_answer(200, {"totalTokens": tokens.total(), "promptTokensDetails": details})


def _tokens(service: Service, blocks: list[dict[str, Any]]) -> Counter[str]:
    try:
        steps = steps_of(blocks)
    except Refusal as refusal:
        raise classic(400, f"Invalid contents: {refusal.message}") from None
    attach_files(service, steps, service.settings.clock())
    return step_tokens(steps)


def _parts(contents: object) -> Iterator[Mapping[str, Any]]:
    for content in contents if isinstance(contents, list) else [contents]:
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else [parts]:
            if isinstance(part, dict):
                yield part


def _block(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part as a content block."""
    if isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    inline, file = _either(part, "inline_data", "inlineData"), _either(part, "file_data", "fileData")
    medium = inline or file
    if not isinstance(medium, dict):
        raise classic(400, "Invalid part: expected text, inlineData or fileData.")
    mime = str(_either(medium, "mime_type", "mimeType") or "")
    kind = next((kind for kind in _KINDS if mime.startswith(f"{kind}/")), "document")
    held = {"data": medium.get("data")} if inline else {"uri": _either(medium, "file_uri", "fileUri")}
    return {"type": kind, "mime_type": mime, **held}


def _either(holder: Mapping[str, Any], snake: str, camel: str) -> Any:
    return holder.get(snake, holder.get(camel))
