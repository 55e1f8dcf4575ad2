"""From a row to the bytes of its next POST: its body named, its tokens estimated. `media.py` reads the files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from batchrun.engine.bodies import Bodies
from batchrun.engine.conversation import Ask, Exchange, Script, SendTurn
from batchrun.engine.estimates import CONTEXT, Reading, reading_of
from batchrun.errors import RowError
from batchrun.interactions.bodies import Body, encode
from batchrun.interactions.evidence import INTENT_LABEL
from batchrun.interactions.usage import plausible_tokens
from batchrun.spec.blocks import MediaRef
from batchrun.spec.canonical import sha256_of
from batchrun.spec.load import Job
from batchrun.store.damage import unreadable
from batchrun.store.files import Upload
from batchrun.store.records import RowRecord


@dataclass(frozen=True, slots=True)
class Request:
    """A request ready to be sent. `core` is its JSON without labels and webhooks; `sha` names what is asked, whoever
    asks, and whoever is told.

    `tokens` is about what is read, `most_read` bounds it; `most_written` bounds what is written (for an agent: what it
    uses in all), None where nothing does. `tier` is the service tier that it asks for. `files` are the uploads that it
    refers to; `media` says which file, and which of its pages, went into which block. `webhook` is its own
    `webhook_config`, None without one.
    """

    core: bytes | Body
    labels: dict[str, str]
    sha: str
    model: str | None
    agent: bool
    tokens: int
    most_read: int = 0
    most_written: int | None = None
    tier: str | None = None
    files: tuple[Upload, ...] = ()
    media: tuple[dict[str, Any], ...] = ()
    webhook: Any = None

    def document(self) -> dict[str, Any]:
        """The body as JSON values, without the intent's label."""
        core: dict[str, Any] = json.loads(bytes(self.core))
        own = {"labels": self.labels or None, "webhook_config": self.webhook}
        return core | {name: value for name, value in own.items() if value is not None}

    def is_meant_by(self, refusal: str) -> bool:
        """Whether the words of a refusal name a file that this request refers to."""
        words = set(re.findall(r"[\w-]+", refusal))
        return any(uri.rstrip("/").rpartition("/")[2] in words for uri in _uris(self.document()))

    def body(self, intent_key: str, told_at: str = "") -> bytes | Body:
        """The bytes of the POST, carrying the intent's label so that it can be found in the service's logs.

        With `told_at` the service is to tell of the end at that address, and to name the intent when it does.
        """
        named: dict[str, Any] = {"labels": {**self.labels, INTENT_LABEL: intent_key}}
        if (webhook := _told_of(self.webhook, intent_key, told_at)) is not None:
            named["webhook_config"] = webhook
        head = encode(named)[:-1] + b","
        return self.core.headed(head) if isinstance(self.core, Body) else head + self.core[1:]


def _told_of(own: Any, intent_key: str, told_at: str) -> Any:
    """A request's `webhook_config`: its own, with our address and the name of the POST where we are to be told."""
    if not told_at or not isinstance(own, dict | None):
        return own
    uris, metadata = (own or {}).get("uris") or [], (own or {}).get("user_metadata") or {}
    if not (isinstance(uris, list) and isinstance(metadata, dict)):
        return own
    named = {**metadata, INTENT_LABEL: intent_key}
    return {**(own or {}), "uris": [*uris, *([] if told_at in uris else [told_at])], "user_metadata": named}


def _uris(value: Any) -> Iterator[str]:
    """The addresses of the files that a body refers to."""
    if isinstance(value, list):
        for inner in value:
            yield from _uris(inner)
    elif isinstance(value, dict):
        if isinstance(uri := value.get("uri"), str):
            yield uri
        yield from _uris(list(value.values()))


def first_request(job: Job, data: dict[str, Any]) -> Request | Draft:
    """The first request of a row. Raises RowError."""
    return next_request(Bodies(job, data, script_of(job, data), job.base))


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
_FIRST = SendTurn(0)


@dataclass(frozen=True, slots=True)
class Draft:
    """A request whose media have still to be read: `body` holds references to them.

    `tokens` is about what the service adds by itself, from a conversation that it keeps. `webhook` as in `Request`.
    """

    body: dict[str, Any]
    labels: dict[str, str]
    tokens: int = 0
    webhook: Any = None


def next_request(bodies: Bodies, exchanges: Sequence[Exchange] = (), ask: Ask = _FIRST) -> Request | Draft:
    """The next request of a row, its first by default. Raises RowError; nothing is read or sent here."""
    job = bodies.job
    job.request.schema_for(bodies.data)
    if not exchanges:
        job.request.check_later_turns(bodies.data)
    body = bodies.body(exchanges, ask)
    labels = body.pop("labels", None) or {}
    stored = job.spec.request.store
    webhook, tokens = body.pop("webhook_config", None), _tokens_so_far(exchanges, stored)
    draft = Draft(body | {"background": stored, "store": stored}, labels, tokens, webhook)
    return draft if job.request.reads_files and _refers(body.get("input")) else complete(draft)


def _refers(value: Any) -> bool:
    """Whether files have to be read for an input: a list of blocks, or of steps that hold them."""
    if isinstance(value, list):
        return any(map(_refers, value))
    return isinstance(value, MediaRef) or (isinstance(value, dict) and _refers(value.get("content")))


def complete(draft: Draft) -> Request:
    """The request of a draft that has no media. Raises RowError."""
    core = sendable(draft.body)
    return request_of(draft, core, hashlib.sha256(core).hexdigest(), reading_of(draft.body))


def request_of(draft: Draft, core: bytes | Body, sha: str, read: Reading) -> Request:
    """What a draft has become."""
    body, before = draft.body, draft.tokens
    if not before and "previous_interaction_id" in body:
        read += Reading(0, CONTEXT)  # of a conversation that the row's own request goes on with, nothing is known
    tokens, most_read = read.tokens + before, read.most + before
    model, agent = body.get("model") or body.get("agent"), "agent" in body
    written, tier = most_written(body), _tier(body)
    return Request(core, draft.labels, sha, model, agent, tokens, most_read, written, tier, webhook=draft.webhook)


#: The type of the agents' configuration whose `max_total_tokens` the service heeds.
_BOUNDED = "antigravity"


def most_written(body: dict[str, Any]) -> int | None:
    """The tokens after which an answer is cut off, as the request itself says."""
    section, name = (
        ("agent_config", "max_total_tokens") if "agent" in body else ("generation_config", "max_output_tokens")
    )
    config = body.get(section)
    if "agent" in body and not (isinstance(config, dict) and config.get("type") == _BOUNDED):
        return None
    most = config.get(name) if isinstance(config, dict) else None
    return int(most) if isinstance(most, int | str) and len(str(most)) < 16 and str(most).isdecimal() else None


def _tier(body: dict[str, Any]) -> str | None:
    tier = body.get("service_tier")
    return None if tier is None else str(tier)


def sendable(body: dict[str, Any]) -> bytes:
    """The JSON of a body. Raises RowError for what JSON or UTF-8 cannot hold."""
    try:
        return encode(body)
    except UnicodeEncodeError as error:
        if not _replays(body):
            raise RowError("not_sendable", f"the request cannot be written as JSON: {error}") from error
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()  # as the service itself wrote it
    except ValueError as error:
        raise RowError("not_sendable", f"the request cannot be written as JSON: {error}") from error


def _tokens_so_far(exchanges: Sequence[Exchange], stored: bool) -> int:
    """Tokens of a conversation that the service adds by itself."""
    if not exchanges or not stored:
        return 0
    return plausible_tokens(exchanges[-1].answer.usage or {}, "total_tokens") or 0


def _replays(body: dict[str, Any]) -> bool:
    """Whether a request sends the service's own steps back to it."""
    steps = body.get("input")
    return isinstance(steps, list) and any(isinstance(s, dict) and s.get("type") == "model_output" for s in steps)


def intent_key(run_id: str, key: str, exchange: int, number: int) -> str:
    """36 characters that name one attempt and fit the API's label rules."""
    mark = hashlib.sha256("\0".join((run_id, key, str(exchange), str(number))).encode()).hexdigest()
    return "br1-" + mark[:32]


def as_read(row: RowRecord) -> RowRecord:
    """The row. Raises StoreError if its input is not the one that was read: what was never asked for would be paid."""
    if row.data is not None and sha256_of(row.data) != row.input_sha:
        raise unreadable(f"the input of row {row.key!r}", "it is not what was read")
    return row
