"""From a row to the bytes of its next POST: its body made ready, named, and its tokens estimated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from batchrun.engine.bodies import Bodies
from batchrun.engine.conversation import Ask, Exchange, Say, Script
from batchrun.errors import RowError
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


def first_request(job: Job, data: dict[str, Any]) -> Prepared:
    """The first request of a row, as it is sent. Raises RowError."""
    return prepare(Bodies(job, data, script_of(job, data), job.base))


def script_of(job: Job, data: dict[str, Any]) -> Script:
    """What the job wants of a row's conversation."""
    request = job.spec.request
    if request.turns is None and not request.references and not request.agent and request.column not in data:
        return _PLAIN
    config = job.request.plain_fields(data).get("agent_config")
    plans = isinstance(config, dict) and config.get("collaborative_planning") is True
    return Script(
        turns=len(job.request.turns),
        functions=bool(request.references),
        rounds=request.function_calling.rounds,
        plans=plans,
        approve=request.approve,
    )


_PLAIN = Script()
_FIRST = Say(0)


def prepare(bodies: Bodies, exchanges: Sequence[Exchange] = (), ask: Ask = _FIRST) -> Prepared:
    """The next request of a row, its first by default. Raises RowError for what is wrong with the row."""
    job = bodies.job
    job.request.schema_for(bodies.data)
    body = bodies.body(exchanges, ask)
    labels = body.pop("labels", None) or {}
    stored = job.spec.request.store
    body |= {"background": stored, "store": stored}
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
        estimate_tokens(body) + _tokens_so_far(exchanges, stored),
    )


def _tokens_so_far(exchanges: Sequence[Exchange], stored: bool) -> int:
    """Tokens of a conversation that the service adds by itself."""
    if not exchanges or not stored:
        return 0
    total = (exchanges[-1].answer.usage or {}).get("total_tokens")
    return total if isinstance(total, int) and 0 <= total < 10**9 else 0


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
