"""Tool search: functions with `defer_loading` come into the model's sight when it looks for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from batchrun.emulator.answers import dump
from batchrun.emulator.tools.use import Use, call_and_result

_Tool = Mapping[str, Any]


def client_search(tools: Iterable[_Tool]) -> _Tool | None:
    """The search that the client runs itself: a function like any other, by the name that it was given."""
    return next((tool for tool in _searches(tools) if tool.get("execution") == "client" and tool.get("name")), None)


def loading(tools: Collection[_Tool], called: Collection[str], key: bytes) -> list[Use]:
    """The search on the server for the functions that are `called`; none where there is no such tool."""
    if all(tool.get("execution") == "client" for tool in _searches(tools)):
        return []
    deferred = [tool for tool in tools if tool["type"] == "function" and tool.get("defer_loading")]
    found = [dict(tool) for tool in deferred if tool["name"] in called]
    names = {"function_names": [tool["name"] for tool in found]}
    steps = call_and_result("tool_search", key, {"arguments": names}, {"result": found})
    return [Use(steps, read=dump(found).decode())]


def _searches(tools: Iterable[_Tool]) -> list[_Tool]:
    return [tool for tool in tools if tool["type"] == "tool_search"]
