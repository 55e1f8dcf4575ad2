"""What the models and agents of the service take and refuse, and the names by which they are known. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from batchrun.spec.asking import RequestSpec
from batchrun.spec.formats import TextFormat
from batchrun.spec.parts import MediaPart
from batchrun.spec.service.fitness import of_the_formats, of_the_settings
from batchrun.spec.service.kinds import MODELS, unversioned
from batchrun.spec.service.shapes import Finding, Findings, advice

_AGENTS = """
    deep-research-pro-preview-12-2025 deep-research-preview-04-2026 deep-research-max-preview-04-2026
    antigravity-preview-05-2026 antigravity-preview-09-2026
"""
AGENTS = frozenset(_AGENTS.split())
_RETIRED = {"antigravity-preview-05-2026": ("2026-10-05", "antigravity-preview-09-2026")}
#: Tools of the service whose answers name sources.
CITING = frozenset({"google_search", "google_maps", "url_context", "file_search", "retrieval"})
_VERSION = re.compile(r"gemini-(\d{1,3})(?:\.(\d{1,3}))?(?:-|$)")


def of_the_model(request: RequestSpec, model: str) -> Findings:
    """What is wrong, or doubtful, because this model is asked."""
    yield from _doubts("model", model, MODELS, AGENTS)
    if request.agent_config is not None:
        yield Finding(("agent_config",), "only agents take this; remove it, or name an `agent`")
    yield from of_the_formats(request, model)
    yield from of_the_settings(request, model)
    for name in ("temperature", "top_p"):
        if (request.generation_config or {}).get(name) is not None:
            yield _sampling(name, model)
    if _version(model) >= (3, 0):
        yield from _of_tools(
            request, {"mcp_server"}, f"{model} may refuse this: Gemini 3 did not take remote MCP servers in June 2026"
        )


def of_the_agent(request: RequestSpec, agent: str) -> Findings:
    """What is wrong, or doubtful, because this agent is asked."""
    yield from _doubts("agent", agent, AGENTS, MODELS)
    if agent in _RETIRED:
        yield advice(("agent",), "retired on {}; write {}".format(*_RETIRED[agent]))
    if request.generation_config is not None:
        yield Finding(("generation_config",), "agents do not take this; use `agent_config`")
    if not request.store:
        yield Finding(("store",), "the service runs agents only with storage; remove `store: false`")
    for family, rules in (("deep-research", _of_deep_research), ("antigravity", _of_antigravity)):
        if agent.startswith(family):
            yield from _of_config(request, family)
            yield from rules(request)


def tool_type(tool: str | dict[str, Any]) -> str:
    """The type of a tool; empty where it has none."""
    kind = tool if isinstance(tool, str) else tool.get("type")
    return kind if isinstance(kind, str) else ""


def _sampling(name: str, model: str) -> Finding:
    path = ("generation_config", name)
    if _version(model) < (3, 6):
        return advice(path, "deprecated: models from Gemini 3.6 on refuse `temperature`; better leave both out")
    if name == "temperature":
        return Finding(path, f"{model} refuses this, as all models from Gemini 3.6 on do; remove it")
    return advice(path, f"deprecated, and {model} may refuse it as it refuses `temperature`; remove it")


def _version(model: str) -> tuple[int, int]:
    match = _VERSION.match(model.removeprefix("models/"))
    return (int(match[1]), int(match[2] or 0)) if match else (0, 0)


def _doubts(kind: str, name: str, known: frozenset[str], others: frozenset[str]) -> Findings:
    """Names are an open set: a version or date that is not known is none of our business, a slip of the pen is."""
    name = name.removeprefix("models/")
    other = "agent" if kind == "model" else "model"
    if name in others:
        yield advice((kind,), f"{name} is the name of {_a(other)}; write `{other}: {name}`")
    elif unversioned(name) not in map(unversioned, known) and (close := get_close_matches(name, known, 1, 0.85)):
        yield advice((kind,), f"no {kind} of this name is known here; did you mean {close[0]}?")


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _of_config(request: RequestSpec, family: str) -> Findings:
    kind = (request.agent_config or {}).get("type")
    if isinstance(kind, str) and kind not in (family, "dynamic"):
        yield advice(("agent_config", "type"), f"this agent is of the type {family}, so the service may refuse {kind}")


def _of_deep_research(request: RequestSpec) -> Findings:
    who = "research agents"
    if request.system_instruction is not None:
        yield Finding(("system_instruction",), f"{who} refuse this; say it in `input`")
    yield from _of_tools(request, {"function"}, f"{who} refuse functions; an mcp_server can take their place", True)
    if request.references:
        yield Finding(("functions",), f"{who} refuse functions; a tool of type mcp_server can take their place")
    yield from _no_structure(request, who)


def _of_antigravity(request: RequestSpec) -> Findings:
    who = "antigravity agents"
    if request.environment is None:
        yield Finding(("agent",), "the service needs `environment` with this agent; add `environment: remote`")
    refused = {"file_search", "computer_use", "google_maps"}
    yield from _of_tools(request, refused, f"{who} refuse {', '.join(sorted(refused))}; remove it", True)
    yield from _no_structure(request, who)
    for index, part in enumerate(request.input if isinstance(request.input, list) else ()):
        if isinstance(part, MediaPart) and part.type != "image":
            yield advice(("input", index, "type"), f"{who} are documented to read text and images only")


def _of_tools(request: RequestSpec, kinds: Iterable[str], message: str, refused: bool = False) -> Findings:
    for index, tool in enumerate(request.tools or []):
        if tool_type(tool) in kinds:
            yield Finding(("tools", index), message, refused)


def _no_structure(request: RequestSpec, who: str) -> Findings:
    formats = request.response_format
    for form in formats if isinstance(formats, list) else [formats]:
        if isinstance(form, TextFormat) and (form.json_schema is not None or form.mime_type == "application/json"):
            message = f"{who} refuse structured output; ask for text, or let a model structure it in another job"
            yield Finding(("response_format",), message)
