"""From a row to the bytes of its POST: render, estimate the tokens, name the intent. Media are read by `media.py`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from batchrun.errors import RowError
from batchrun.interactions.bodies import Body, encode
from batchrun.spec.load import Job
from batchrun.store.files import Upload

#: The service counts about four characters of text to a token.
_CHARACTERS_PER_TOKEN = 4
INTENT_LABEL = "batchrun-intent"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request ready to be sent. `core` is its JSON without labels; `sha` names what is asked, whoever asks.

    `files` are the uploads that it refers to; `media` says which file, and which of its pages, went into which block.
    """

    core: bytes | Body
    labels: dict[str, str]
    sha: str
    model: str | None
    agent: bool
    tokens: int
    files: tuple[Upload, ...] = ()
    media: tuple[dict[str, Any], ...] = ()

    def body(self, intent_key: str) -> bytes | Body:
        """The bytes of the POST, carrying the intent's label so that it can be found in the service's logs."""
        head = b'{"labels":' + encode({**self.labels, INTENT_LABEL: intent_key}) + b","
        return self.core.headed(head) if isinstance(self.core, Body) else head + self.core[1:]


@dataclass(frozen=True, slots=True)
class Draft:
    """A request whose media have still to be read: `body` holds references to them."""

    body: dict[str, Any]
    labels: dict[str, str]


def prepare(job: Job, data: dict[str, Any]) -> Prepared | Draft:
    """Render one row. Raises RowError for what is wrong with the row; nothing is read or sent here."""
    rendered = job.request.render(data)
    job.request.schema_for(data)
    body = dict(rendered.body)
    labels = body.pop("labels", None) or {}
    draft = Draft(body | {"background": True, "store": True}, labels)
    return draft if rendered.media else complete(draft)


def complete(draft: Draft) -> Prepared:
    """The request of a draft that has no media. Raises RowError."""
    core = sendable(draft.body)
    return prepared(draft, core, hashlib.sha256(core).hexdigest(), estimate_tokens(draft.body))


def prepared(draft: Draft, core: bytes | Body, sha: str, tokens: int) -> Prepared:
    """What a draft has become."""
    body = draft.body
    return Prepared(core, draft.labels, sha, body.get("model") or body.get("agent"), "agent" in body, tokens)


def sendable(body: dict[str, Any]) -> bytes:
    """The JSON of a body. Raises RowError for what JSON or UTF-8 cannot hold."""
    try:
        return encode(body)
    except ValueError as error:
        raise RowError("not_sendable", f"the request cannot be written as JSON: {error}") from error


def estimate_tokens(body: dict[str, Any]) -> int:
    """A rough count of the input tokens of text, for pacing until the real usage is known."""
    return len(json.dumps(body, ensure_ascii=False)) // _CHARACTERS_PER_TOKEN


def intent_key(run_id: str, key: str, stage: str, turn: int, number: int) -> str:
    """36 characters that name one attempt and fit the API's label rules."""
    mark = hashlib.sha256("\0".join((run_id, key, stage, str(turn), str(number))).encode()).hexdigest()
    return "br1-" + mark[:32]
