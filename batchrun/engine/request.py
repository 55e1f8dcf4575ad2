"""From a row to the bytes of its POST: render, read the media, estimate the tokens, name the intent."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from batchrun.errors import RowError
from batchrun.inputs.media import attach
from batchrun.interactions.client import encode
from batchrun.spec.load import Job

#: The service counts about four characters of text to a token and 258 tokens to an image or a page.
_CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_MEDIUM = 258
INTENT_LABEL = "batchrun-intent"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request ready to be sent. `core` is its JSON without labels; `sha` names what is asked, whoever asks."""

    core: bytes
    labels: dict[str, str]
    sha: str
    model: str | None
    agent: bool
    tokens: int

    def body(self, intent_key: str) -> bytes:
        """The bytes of the POST, carrying the intent's label so that it can be found in the service's logs."""
        labels = encode({**self.labels, INTENT_LABEL: intent_key})
        return b'{"labels":' + labels + b"," + self.core[1:]  # spliced: media make `core` large


def prepare(job: Job, data: dict[str, Any]) -> Prepared:
    """Render one row. Raises RowError for what is wrong with the row; nothing is sent here."""
    rendered = job.request.render(data)
    job.request.schema_for(data)
    body = attach(rendered, job.base, job.base / job.spec.request.media_root) if rendered.media else dict(rendered.body)
    labels = body.pop("labels", None) or {}
    body |= {"background": True, "store": True}
    try:
        core = encode(body)
    except ValueError as error:
        raise RowError("not_sendable", f"the request cannot be written as JSON: {error}") from error
    return Prepared(
        core,
        labels,
        hashlib.sha256(core).hexdigest(),
        body.get("model") or body.get("agent"),
        "agent" in body,
        estimate_tokens(body),
    )


def estimate_tokens(body: dict[str, Any]) -> int:
    """A rough count of input tokens, for pacing until the real usage is known."""
    parts = body.get("input")
    media = [p for p in parts if isinstance(p, dict) and "data" in p] if isinstance(parts, list) else []
    text = len(json.dumps(body, ensure_ascii=False)) if not media else _text_length(body)
    return text // _CHARACTERS_PER_TOKEN + len(media) * _TOKENS_PER_MEDIUM


def _text_length(body: dict[str, Any]) -> int:
    texts = [part.get("text") for part in body["input"] if isinstance(part, dict)]
    return len(body.get("system_instruction") or "") + sum(len(text) for text in texts if isinstance(text, str))


def intent_key(run_id: str, key: str, stage: str, turn: int, number: int) -> str:
    """36 characters that name one attempt and fit the API's label rules."""
    mark = hashlib.sha256("\0".join((run_id, key, stage, str(turn), str(number))).encode()).hexdigest()
    return "br1-" + mark[:32]
