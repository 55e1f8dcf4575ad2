"""POST /interactions: count it, check it, make the interaction, write the ledger, then answer."""

from __future__ import annotations

import math
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any

from batchrun.emulator.agents.antigravity import files_left
from batchrun.emulator.answers import Answer
from batchrun.emulator.bridge import answer_when_there, ask
from batchrun.emulator.calls import Call
from batchrun.emulator.continuation import Resumed, hop_of, resume
from batchrun.emulator.draws import digest, uniform
from batchrun.emulator.envelopes import Refusal, invalid, not_found, refuse
from batchrun.emulator.faults import Arrival, Rule
from batchrun.emulator.ledger import Entry
from batchrun.emulator.makers.delivery import delivered
from batchrun.emulator.orders import taken
from batchrun.emulator.outcome import Outcome, outcome_of
from batchrun.emulator.prompts import Prompt, plain_text
from batchrun.emulator.quota import Use
from batchrun.emulator.reading import read_body
from batchrun.emulator.refusals import raise_refusal
from batchrun.emulator.replies.model_server import ASKED
from batchrun.emulator.resources.environments import environment_asked, new_environment, visit
from batchrun.emulator.rules.history import check_results
from batchrun.emulator.rules.request import Order
from batchrun.emulator.service import Service
from batchrun.emulator.spoiled import spoil_answer, spoil_outcome
from batchrun.emulator.storage import Kept
from batchrun.emulator.streams import stream_of
from batchrun.emulator.timeline import carried_from, outputs_of, timeline
from batchrun.emulator.usage import step_tokens
from batchrun.emulator.views import head_of, opening, seen_at, tail_of

#: A foreground request that never ends waits this long; its client gives up much sooner.
_LONGEST_WAIT = 86_400.0
#: Creates after which the oldest interactions are looked at, whether they are past their retention.
_PURGED_EVERY = 256
#: What a chain of no turns carries along.
_NOTHING: Counter[str] = Counter()
_UNBILLED = frozenset({"failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class _Post:
    """A POST that arrived. `raw` is its JSON, `problem` why there is none."""

    now: float
    sha256: bytes
    occurrence: int
    raw: Mapping[str, Any]
    problem: Refusal | None
    fault: Rule | None
    origin: str


@dataclass(frozen=True, slots=True)
class _Made:
    """An interaction that now exists. `due` is what it is billed for; None if it is not billed.

    One that a model server is `asked` for is billed, and nobody knows yet for what: `due` is empty.
    """

    kept: Kept
    order: Order
    due: Mapping[str, Any] | None
    asked: bool = False


def create(service: Service, call: Call) -> Answer:
    """The answer to a create. The ledger knows of it before the client does."""
    post = _arrived(service, call)
    try:
        made = _make(service, call, post)
    except Refusal as refusal:
        service.counts.refused += 1
        if service.ledger.kept:
            service.ledger.write(_entry(post, refusal.answer.status, None))
        raise
    service.counts.billed += made.due is not None
    if made.asked:
        ask(service, made.kept, post.fault)
    answer = _asked_answer(service, post, made) if made.asked else _spoiled_answer(service, post, made)
    if service.ledger.kept:
        service.ledger.write(_entry(post, 0 if answer.line.unanswered else answer.status, made))
    return answer


def _arrived(service: Service, call: Call) -> _Post:
    service.counts.posts += 1
    now = service.settings.clock()
    identity = sha256(call.body).digest()
    occurrence = service.store.seen(identity)
    raw: Mapping[str, Any] = {}
    problem: Refusal | None = None
    try:
        raw = read_body(call.body)
    except Refusal as refusal:
        problem = refusal
    fault = _fault(service, identity, occurrence, raw)
    origin = f"{call.origin}/{call.path.split('/')[1]}"
    return _Post(now, identity, occurrence, raw, problem, fault, origin)


def _fault(service: Service, identity: bytes, occurrence: int, raw: Mapping[str, Any]) -> Rule | None:
    labels = raw.get("labels")
    if not service.faults.watches("post") and not labels:
        return None
    known = labels if isinstance(labels, dict) else {}
    arrival = Arrival("post", service.counts.posts, identity, occurrence, known, plain_text(raw.get("input")))
    return service.faults.find(arrival)


def _make(service: Service, call: Call, post: _Post) -> _Made:
    """The interaction that the request asks for, kept; raises `Refusal` if it may not be."""
    call.check_key(service.settings.bad_keys)
    call.check_revision()
    service.outages.check(post.now, post=True)
    if post.fault is not None:
        service.outages.begin(post.fault, post.now)
        raise_refusal(post.fault)
    if service.quota.limited:
        service.quota.check(post.now, _model(post), background=post.raw.get("background") is True)
    if post.problem is not None:
        raise post.problem
    resumed = None if post.raw.get("continuation_token") is None else resume(service, post.raw, post.now)
    order = taken(service, resumed.request if resumed else post.raw, post.now)
    made = _worked(service, post, order, _parent(service, order, post.now), resumed)
    service.store.keep(made.kept, call.body if order.stored or made.asked else b"")
    if not service.counts.posts % _PURGED_EVERY:
        service.purge(post.now)
    return made


def _worked(service: Service, post: _Post, order: Order, parent: Kept | None, resumed: Resumed | None) -> _Made:
    """The interaction from its start to its end: all of it is known now, the clock only uncovers it."""
    prompt = Prompt.of(order, parent.history if parent else b"", service.settings.seed)
    outcome = _outcome(service, order, prompt, parent)
    if outcome is not ASKED:
        outcome = delivered(service, outcome, post.origin, post.now)
        outcome = hop_of(outcome, order, prompt, service.settings.decode_limit, resumed)
    order = resumed.echoed(order) if resumed else order
    shown = spoil_outcome(outcome, post.fault)
    kept = _kept(service, post, order, prompt, outcome)
    if outcome is ASKED:
        return _to_be_asked(service, post, order, kept)
    kept = kept._replace(tail=tail_of(shown, kept.ready_at))
    if service.quota.limited:
        service.quota.take(post.now, _model(post), _use(kept, outcome))
    if post.fault is not None:
        service.lasting.begin(kept, post.fault, outcome.usage)
    if service.hooks.wanted(order):
        service.hooks.expect(kept, order, shown.status)
    if "environment" in order.body:
        _visit(service, post, order, outcome, prompt)
    return _Made(kept, order, None if shown.status in _UNBILLED else outcome.usage)


def _outcome(service: Service, order: Order, prompt: Prompt, parent: Kept | None) -> Outcome:
    carried = carried_from(parent) if parent else _NOTHING
    past = partial(timeline, service.store, parent)
    return service.settings.replies(order, prompt, lambda: outcome_of(order, prompt, carried, past))


def _visit(service: Service, post: _Post, order: Order, outcome: Outcome, prompt: Prompt) -> None:
    """What an agent leaves in its sandbox; nothing while it waits for a function."""
    asked = order.body["environment"]
    name = _environment(service, post, order)
    if name is not None and order.family == "antigravity":
        files = {} if outcome.status == "requires_action" else files_left(order, prompt)
        visit(service, name, asked, files, post.now)


def _to_be_asked(service: Service, post: _Post, order: Order, kept: Kept) -> _Made:
    """An interaction whose end a model server will tell, whenever that is."""
    kept = kept._replace(ready_at=math.inf)
    until = math.inf if kept.background else None
    service.quota.take(post.now, _model(post), Use(kept.id, step_tokens(order.steps).total(), 0, until))
    return _Made(kept, order, {}, asked=True)


def _model(post: _Post) -> str:
    """What rate limits count by."""
    return str(post.raw.get("model") or post.raw.get("agent"))[:128]


def _use(kept: Kept, outcome: Outcome) -> Use:
    tokens = int((outcome.usage or {}).get("total_input_tokens", 0))
    images = sum(block.get("type") == "image" for step in outcome.steps for block in _blocks(step))
    return Use(kept.id, tokens, images, kept.ready_at if kept.background else None)


def _blocks(step: Mapping[str, Any]) -> list[Any]:
    return step.get("content") or [] if step["type"] == "model_output" else []


def _parent(service: Service, order: Order, now: float) -> Kept | None:
    name = order.body.get("previous_interaction_id")
    if name is None:
        return None
    parent = service.store.find(name)
    if parent is None or now < parent.visible_at or service.expired(parent, now):
        raise not_found(name)
    if service.lasting.any:
        parent = service.lasting.seen(parent, now)
    if not parent.stored:
        raise invalid(f"Interaction {name!r} was not stored (store=false) and cannot be continued.")
    if parent.running(now):
        raise refuse("failed_precondition", f"Interaction {name!r} is still in progress and cannot be continued.")
    if any(step["type"] == "function_result" for step in order.steps):
        check_results(outputs_of(parent), order.steps)
    return parent


def _kept(service: Service, post: _Post, order: Order, prompt: Prompt, outcome: Outcome) -> Kept:
    """The row, still without its end."""
    rule, now = post.fault, post.now
    drawn = (service.settings.seed, post.sha256, post.occurrence)
    kind, delay = (rule.kind, rule.delay) if rule else ("", 0.0)
    latency = service.settings.latency.draw(uniform("latency", *drawn))
    queued = delay if kind == "queued" else latency / 2 if order.tier == "deferred" else 0.0
    name = interaction_id("id", *drawn)
    shown_as = interaction_id("alias", *drawn) if kind == "wrong_id" else name
    return Kept(
        id=name,
        created=now,
        queued_until=now + queued,
        ready_at=math.inf if kind == "stuck" else now + queued + latency,
        visible_at=now + delay if kind == "404_after_create" else now,
        cancelled_at=None,
        background=order.background,
        stored=order.stored,
        context_tokens=_context_tokens(outcome),
        history=prompt.key,
        head=head_of(
            shown_as,
            _labelled_otherwise(order) if kind == "wrong_label" else order,
            None if outcome.late else now,
            _environment(service, post, order),
        ),
        tail=b"",
    )


def _labelled_otherwise(order: Order) -> Order:
    labels = {name: f"not-{value}"[:63] for name, value in (order.body.get("labels") or {}).items()}
    return replace(order, body={**order.body, "labels": labels})


def _context_tokens(outcome: Outcome) -> int:
    """What the next turn of the chain carries along."""
    usage = outcome.usage or {}
    return int(usage.get("total_input_tokens", 0) + usage.get("total_output_tokens", 0))


def _environment(service: Service, post: _Post, order: Order) -> str | None:
    """The id of the sandbox: a new one, or the one that the request names."""
    asked = order.body.get("environment")
    if asked is None:
        return None
    return environment_asked(asked) or new_environment(service.settings.seed, post.sha256, post.occurrence)


def _answer(service: Service, post: _Post, made: _Made) -> Answer:
    """What the client gets. A poll may show another id by a fault; the create never does."""
    kept, order = made.kept, made.order
    headers = ((b"x-gemini-service-tier", order.tier.encode()),)
    if post.fault is not None and post.fault.kind in ("wrong_id", "wrong_label"):
        kept = kept._replace(head=head_of(kept.id, order, post.now, None))
    if order.stream:
        return stream_of(service, kept, post.now, headers)
    if order.background:
        return Answer(200, opening(kept), headers=headers)
    wait = min(kept.ready_at - post.now, _LONGEST_WAIT)
    return Answer(200, seen_at(kept, kept.ready_at), headers=headers, delay=wait)


def _spoiled_answer(service: Service, post: _Post, made: _Made) -> Answer:
    return spoil_answer(_answer(service, post, made), post.fault)


def _asked_answer(service: Service, post: _Post, made: _Made) -> Answer:
    """What the client gets while nobody knows the end. Faults spoil what it gets in the end."""
    kept, order = made.kept, made.order
    if order.background and not order.stream:
        return _spoiled_answer(service, post, made)
    headers = ((b"x-gemini-service-tier", order.tier.encode()),)
    return answer_when_there(
        service, kept, headers, lambda answer: spoil_answer(answer, post.fault), stream=order.stream
    )


def _entry(post: _Post, status: int, made: _Made | None) -> Entry:
    labels, model, agent = (post.raw.get(name) for name in ("labels", "model", "agent"))
    return Entry(
        time=post.now,
        status=status,
        id=made.kept.id if made else None,
        billed=made is not None and made.due is not None,
        labels=labels if isinstance(labels, dict) else None,
        model=model if isinstance(model, str) else None,
        agent=agent if isinstance(agent, str) else None,
        request_sha256=post.sha256.hex(),
        occurrence=post.occurrence,
        usage=made.due or None if made else None,
        fault=post.fault.kind if post.fault else None,
    )


def interaction_id(*drawn: object) -> str:
    """An id in the form that the service's own have: `v1_` and two equal 23-character strings in a protobuf."""
    inner = urlsafe_b64encode(digest(*drawn)[:17])[:23]
    packed = b"\x0a\x17" + inner + b"\x12\x17" + inner
    return f"v1_{urlsafe_b64encode(packed).rstrip(b'=').decode()}"
