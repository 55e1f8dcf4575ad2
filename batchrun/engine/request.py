"""From a row to the bytes of its next POST: render, read the media, join the conversation so far, name the intent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from batchrun.engine import conversation
from batchrun.engine.conversation import Ask, Call, Continue, Exchange, Reply, Say, Script, Tell
from batchrun.errors import RowError
from batchrun.inputs.media import attach
from batchrun.interactions.client import encode
from batchrun.spec.load import Job

#: The service counts about four characters of text to a token and 258 tokens to an image or a page.
_CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_MEDIUM = 258
#: What lets a research plan go ahead: the service wants an input with the approval.
_GO_AHEAD = "The plan is approved. Please go ahead."
INTENT_LABEL = "batchrun-intent"

Step = dict[str, Any]


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


def prepare(job: Job, data: dict[str, Any], exchanges: Sequence[Exchange] = (), ask: Ask = _FIRST) -> Prepared:
    """The next request of a row, its first by default. Raises RowError for what is wrong with the row."""
    job.request.schema_for(data)
    body = _body(job, data, exchanges, ask)
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


def _body(job: Job, data: dict[str, Any], exchanges: Sequence[Exchange], ask: Ask) -> dict[str, Any]:
    script = script_of(job, data)
    body = _asked(job, data, exchanges, ask, script)
    if not exchanges:
        return body
    if isinstance(ask, Continue):
        body["continuation_token"] = ask.token
    if not job.spec.request.store:
        body["input"] = _history(job, data, exchanges, ask, script)
        return body
    last = exchanges[-1].answer
    body["previous_interaction_id"] = last.id
    if "agent" in body and last.environment_id:
        body["environment"] = last.environment_id
    if isinstance(ask, Continue):
        del body["input"]
    return body


def _asked(job: Job, data: dict[str, Any], exchanges: Sequence[Exchange], ask: Ask, script: Script) -> dict[str, Any]:
    """The request as if it stood alone: that of its turn, with what is asked now as its input."""
    match ask:
        case Reply(results):
            return {**_rendered(job, data, exchanges, script), "input": list(results)}
        case Tell(word):
            body = _rendered(job, data, exchanges, script)
            config = {**body.get("agent_config", {}), "collaborative_planning": not word.go}
            return {**body, "agent_config": config, "input": word.text or _GO_AHEAD}
        case Continue():
            return _rendered(job, data, exchanges, script)
    said = conversation.answers(exchanges, script) if ask.turn else ()
    rendered = job.request.render(data, ask.turn, said)
    return attach(rendered, job.base, job.base / job.spec.request.media_root) if rendered.media else {**rendered.body}


def _rendered(job: Job, data: dict[str, Any], exchanges: Sequence[Exchange], script: Script) -> dict[str, Any]:
    """The fields that go with every request of the turn under way. Its media were sent with its first."""
    turn = conversation.turn_of(exchanges, script)
    return {**job.request.render(data, turn, conversation.answers(exchanges, script)[:turn]).body}


def _history(job: Job, data: dict[str, Any], exchanges: Sequence[Exchange], ask: Ask, script: Script) -> list[Step]:
    """All steps so far and those asked now, each value as it was received: what a service that keeps nothing needs."""
    steps: list[Step] = []
    for number, exchange in enumerate(exchanges):
        asked = conversation.follow(exchanges[:number], script)
        if not isinstance(asked, Continue):
            assert asked is not None
            assert not isinstance(asked, Call)
            steps += _as_steps(_asked(job, data, exchanges[:number], asked, script)["input"])
        steps += [step for _, step in exchange.answer.own_steps]
    if isinstance(ask, Continue):  # the input of the hop that broke off, without what it brought
        return _before_hops(steps, exchanges)
    return steps + _as_steps(_asked(job, data, exchanges, ask, script)["input"])


def _before_hops(steps: list[Step], exchanges: Sequence[Exchange]) -> list[Step]:
    hops = 0
    for exchange in reversed(exchanges):
        if exchange.answer.status != "requires_continuation":
            break
        hops += len(exchange.answer.own_steps)
    return steps[: len(steps) - hops]


def _as_steps(said: Any) -> list[Step]:
    """An input as steps: text and content blocks become one `user_input` step."""
    if isinstance(said, str):
        return [{"type": "user_input", "content": [{"type": "text", "text": said}]}]
    if isinstance(said, dict):
        said = [said]
    if any(str(item.get("type", "")).endswith(_STEP_ENDINGS) for item in said if isinstance(item, dict)):
        return list(said)
    return [{"type": "user_input", "content": said}]


#: How the types of steps end; those of content blocks do not.
_STEP_ENDINGS = ("_input", "_output", "_call", "_result", "thought")


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
