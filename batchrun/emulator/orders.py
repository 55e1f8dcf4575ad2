"""From a request body to the order that is served: with its stored agent, its files, its environment, its tier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from batchrun.emulator.envelopes import refuse
from batchrun.emulator.files.references import attach_files
from batchrun.emulator.resources.agents import with_agent
from batchrun.emulator.resources.environments import check_environment
from batchrun.emulator.rules.request import Order, check_request
from batchrun.emulator.service import Service


def taken(service: Service, raw: Mapping[str, Any], now: float) -> Order:
    """The order of a create request. Raises `Refusal` with the first rule that it breaks."""
    order = check_request(raw, service.trust) if raw.get("agent") is None else _for_agent(service, raw)
    attach_files(service, order.steps, now)
    if "environment" in order.body:
        check_environment(service, order.body["environment"], now)
    if order.tier == "priority":
        return service.priority.served(order, service.settings.limits_of(order.model or "").rpm, now)
    return order


def _for_agent(service: Service, raw: Mapping[str, Any]) -> Order:
    name = raw["agent"]
    stored = service.agents.get(name) if isinstance(name, str) else None
    if stored is not None:
        order = check_request(with_agent(raw, stored), service.trust)
        return replace(order, body={**order.body, "agent": name}, base_agent=stored["base_agent"])
    order = check_request(raw, service.trust)
    if not order.family:
        raise refuse("model_not_found", f"Agent {name!a} not found: it is none of the service's and was not created.")
    return order
