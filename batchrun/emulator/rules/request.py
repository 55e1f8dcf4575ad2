"""A create request as a whole: its fields, and the rules that hold between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batchrun.emulator.envelopes import Refusal, invalid, refuse, unknown_parameter
from batchrun.emulator.rules import checks, config
from batchrun.emulator.rules.checks import Check, boolean, list_of, one_of, text
from batchrun.emulator.rules.content import steps_of
from batchrun.emulator.rules.history import Trust, check_history
from batchrun.emulator.rules.steps import Step
from batchrun.emulator.rules.tools import tools

_FIELDS: Mapping[str, Check] = {
    "model": text,
    "agent": text,
    "input": checks.anything,
    "system_instruction": text,
    "tools": tools,
    "generation_config": config.generation_config,
    "agent_config": config.agent_config,
    "response_format": config.response_format,
    "response_mime_type": text,
    "response_modalities": list_of(one_of("text", "image", "audio", "video", "document")),
    "previous_interaction_id": text,
    "environment": config.environment,
    "store": boolean,
    "background": boolean,
    "stream": boolean,
    "service_tier": one_of("standard", "flex", "priority", "deferred"),
    "labels": config.labels,
    "safety_settings": config.safety_settings,
    "webhook_config": config.webhook_config,
    "continuation_token": text,
    "cached_content": text,
}
FAMILIES = ("deep-research", "antigravity", "code-mender")
_LEGACY = frozenset({"contents", "messages", "outputs", "turns"})
_MODEL_NAME = re.compile(r"[A-Za-z0-9][\w./-]{0,127}", re.ASCII)
_VERSION = re.compile(r"gemini-(\d{1,3})(?:\.(\d{1,3}))?(?:-|$)")


@dataclass(frozen=True, slots=True)
class Order:
    """A create request that the rules allow. `body` has no nulls; `steps` is its input, whatever form it came in.

    `base_agent` is what a stored agent was made of.
    """

    body: Mapping[str, Any]
    steps: list[Step]
    base_agent: str = ""

    @property
    def model(self) -> str | None:
        return self.body.get("model")

    @property
    def agent(self) -> str | None:
        return self.body.get("agent")

    @property
    def family(self) -> str:
        """Which of the service's agents does the work; empty for a model."""
        if (agent := self.agent) is None:
            return ""
        name = self.base_agent or agent
        return next((family for family in FAMILIES if name.startswith(family)), "")

    @property
    def background(self) -> bool:
        return bool(self.body.get("background", False))

    @property
    def stored(self) -> bool:
        return bool(self.body.get("store", True))

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream", False))

    @property
    def tier(self) -> str:
        return str(self.body.get("service_tier", "standard"))

    @property
    def generation(self) -> Mapping[str, Any]:
        return self.body.get("generation_config") or {}

    @property
    def tools(self) -> list[Mapping[str, Any]]:
        return self.body.get("tools") or []

    @property
    def formats(self) -> list[Mapping[str, Any]]:
        value = self.body.get("response_format") or []
        return value if isinstance(value, list) else [value]


def check_request(raw: Mapping[str, Any], trust: Trust) -> Order:
    """The order in a request body, or `Refusal` with the first rule that it breaks."""
    body = {name: value for name, value in raw.items() if value is not None}
    for name, value in body.items():
        if name not in _FIELDS:
            raise _unknown(name)
        _FIELDS[name](value, name)
    order = Order(body, _steps(body))
    _check_target(order)
    _check_matrix(order)
    check_history(order.steps, trust, signed_calls=_version(order.model or "") >= (3, 0))
    if order.agent is not None:
        _check_agent(order, order.agent)
    else:
        _check_model(order, order.model or "")
    return order


def _unknown(name: str) -> Refusal:
    if name in _LEGACY:
        return invalid(f"{name!r}: the legacy Interactions API schema is no longer supported.")
    return unknown_parameter(name)


def _steps(body: Mapping[str, Any]) -> list[Step]:
    if "continuation_token" in body:
        raise invalid("Invalid 'continuation_token': this emulator has not issued one.")
    if "input" not in body:
        raise invalid("Missing required field 'input'.")
    return steps_of(body["input"])


def _check_target(order: Order) -> None:
    if (order.model is None) == (order.agent is None):
        raise invalid("Exactly one of 'model' and 'agent' must be set.")
    name = order.model if order.model is not None else order.agent
    if not _MODEL_NAME.fullmatch(name or ""):
        raise refuse("model_not_found", f"Model or agent {checks.shown(name)} not found.")


def _check_matrix(order: Order) -> None:
    """What `store`, `background`, `stream`, the tier and webhooks allow each other."""
    if order.background and not order.stored:
        raise invalid("store=true is required for background interactions.")
    if order.tier == "deferred" and (not order.background or order.stream):
        raise invalid("service_tier 'deferred' needs background=true and stream=false.")
    if "webhook_config" in order.body and not order.background:
        raise invalid("'webhook_config' needs background=true.")
    if not order.stored and any(form["type"] == "video" and form.get("delivery") == "uri" for form in order.formats):
        raise invalid("store=true is required for video with delivery 'uri'.")


def _check_model(order: Order, model: str) -> None:
    if "agent_config" in order.body:
        raise invalid("'agent_config' is only for agents.")
    if "temperature" in order.generation and _version(model) >= (3, 6):
        raise invalid(f"'generation_config.temperature' is not supported by {model}.")
    if any(tool["type"] == "mcp_server" for tool in order.tools) and _version(model) >= (3, 0):
        raise invalid(f"Remote MCP servers are not supported by {model}.")


def _version(model: str) -> tuple[int, int]:
    match = _VERSION.match(model.removeprefix("models/"))
    return (int(match[1]), int(match[2] or 0)) if match else (0, 0)


def _check_agent(order: Order, agent: str) -> None:
    for field in ("generation_config", "cached_content"):
        if field in order.body:
            raise invalid(f"{field!r} is only for models, not for agents.")
    if not order.stored:
        raise invalid("store=true is required for agents.")
    kind = order.body.get("agent_config", {}).get("type", "dynamic")
    if kind not in (order.family, "dynamic"):
        raise invalid(f"'agent_config.type' {kind!r} is not for agent {agent!r}.")
    if agent.startswith("deep-research"):
        _check_deep_research(order)
    elif agent.startswith("antigravity"):
        _check_antigravity(order)


def _check_deep_research(order: Order) -> None:
    if not order.background:
        raise invalid("background=true is required for deep research.")
    if "system_instruction" in order.body:
        raise invalid("'system_instruction' is not supported by deep research.")
    _forbid_tools(order, "deep research", "function")
    _forbid_formats(order, "deep research")


def _check_antigravity(order: Order) -> None:
    if "environment" not in order.body:
        raise invalid("'environment' is required for this agent.")
    if any(step["type"] == "function_result" for step in order.steps) and "previous_interaction_id" not in order.body:
        raise invalid("Function results of this agent need 'previous_interaction_id'.")
    _forbid_media(order, "this agent", "audio", "video", "document")
    _forbid_tools(order, "this agent", "file_search", "computer_use", "google_maps")
    _forbid_formats(order, "this agent")


def _forbid_tools(order: Order, who: str, *kinds: str) -> None:
    for tool in order.tools:
        if tool["type"] in kinds:
            raise invalid(f"Tool {tool['type']!r} is not supported by {who}.")


def _forbid_media(order: Order, who: str, *kinds: str) -> None:
    blocks = (block for step in order.steps if step["type"] == "user_input" for block in step["content"])
    if found := next((block["type"] for block in blocks if block["type"] in kinds), None):
        raise invalid(f"Input of type {found!r} is not supported by {who}.")


def _forbid_formats(order: Order, who: str) -> None:
    if any(form.get("mime_type") == "application/json" for form in order.formats):
        raise invalid(f"Structured output is not supported by {who}.")
