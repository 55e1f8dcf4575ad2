"""Stored agents: one of the service's agents with instructions, tools and an environment of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from batchrun.emulator.answers import Answer, json_answer
from batchrun.emulator.calls import Call
from batchrun.emulator.draws import digest
from batchrun.emulator.envelopes import invalid, refuse
from batchrun.emulator.reading import read_body
from batchrun.emulator.resources.paging import page_asked, token_of
from batchrun.emulator.resources.table import Document
from batchrun.emulator.rules import checks, config
from batchrun.emulator.rules.request import FAMILIES
from batchrun.emulator.rules.tools import tools
from batchrun.emulator.service import Service

_ID = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_BASE = "antigravity-preview-09-2026"
_MOST = 1000
_TOOLS = ("code_execution", "function", "google_search", "mcp_server", "url_context")
_FIELDS = {
    "id": checks.text,
    "base_agent": checks.text,
    "description": checks.text,
    "system_instruction": checks.text,
    "tools": tools,
    "base_environment": config.environment,
    "agent_config": config.agent_config,
}
#: What an agent lends to a request that does not say otherwise, by the name that it has there.
_LENT = {
    "system_instruction": "system_instruction",
    "tools": "tools",
    "agent_config": "agent_config",
    "base_environment": "environment",
}


def with_agent(raw: Mapping[str, Any], agent: Document) -> dict[str, Any]:
    """The request to a stored agent as one to the agent that it was made of."""
    own = {name: value for name, value in raw.items() if value is not None}
    lent = {there: agent[here] for here, there in _LENT.items() if here in agent}
    return {**lent, **own, "agent": agent["base_agent"]}


def create(service: Service, call: Call) -> Answer:
    agent = {name: value for name, value in read_body(call.body).items() if value is not None}
    checks.record(_FIELDS)(agent, "agent")
    agent.setdefault("id", f"agent-{digest('agent', call.body).hex()[:12]}")
    agent.setdefault("base_agent", _BASE)
    _check(service, agent)
    service.agents.put(agent["id"], agent)
    return json_answer(200, agent)


def _check(service: Service, agent: Document) -> None:
    if not _ID.fullmatch(agent["id"]):
        raise invalid("Invalid 'id': lowercase letters, digits, '-' and '_', a letter first, at most 63 characters.")
    if not agent["base_agent"].startswith(FAMILIES):
        raise refuse("not_found", f"Agent {agent['base_agent']!a} not found.")
    for tool in agent.get("tools") or ():
        if tool["type"] not in _TOOLS:
            raise invalid(f"Tool {tool['type']!r} cannot be stored with an agent; expected: {', '.join(_TOOLS)}.")
    if agent["id"].startswith(FAMILIES) or service.agents.get(agent["id"]) is not None:
        raise refuse("already_exists", f"Agent {agent['id']!r} already exists.")
    if service.agents.count() >= _MOST:
        raise refuse("failed_precondition", f"A project has at most {_MOST} agents.")


def get(service: Service, call: Call, name: str) -> Answer:
    return json_answer(200, _find(service, name))


def delete(service: Service, call: Call, name: str) -> Answer:
    _find(service, name)
    service.agents.delete(name)
    return Answer(200, b"{}")


def list_agents(service: Service, call: Call) -> Answer:
    size, after = page_asked(call, default=50, most=1000)
    agents, following = service.agents.page(size, after)
    more = {} if following is None else {"next_page_token": token_of(following)}
    return json_answer(200, {"agents": agents, **more})


def _find(service: Service, name: str) -> Document:
    agent = service.agents.get(name)
    if agent is None:
        raise refuse("not_found", f"Agent {name!a} not found.")
    return agent
