"""Computer use: the model asks its client for one action on a screen after the other, as function calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from batchrun.emulator.tools.grounding import urls_in

#: The actions of a short session, in their order. Coordinates run from 0 to 999 whatever the size of the screen is.
_SESSIONS: Mapping[str, tuple[str, ...]] = {
    "browser": ("open_web_browser", "navigate", "click_at"),
    "mobile": ("open_app", "click_at"),
    "desktop": ("click_at", "type_text_at"),
}
_SPOT = {"x": 500, "y": 300}


def actions_for(tools: Iterable[Mapping[str, Any]], text: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and arguments of the actions, without those that the tool excludes; empty without such a tool."""
    tool = next((tool for tool in tools if tool["type"] == "computer_use"), None)
    if tool is None:
        return []
    excluded = tool.get("excluded_predefined_functions") or ()
    session = _SESSIONS[tool.get("environment") or "browser"]
    return [(name, _arguments(name, text)) for name in session if name not in excluded]


def _arguments(name: str, text: str) -> dict[str, Any]:
    match name:
        case "navigate":
            return {"url": next(iter(urls_in(text)), "https://example.com/emulated")}
        case "open_app":
            return {"app_name": "emulated"}
        case "type_text_at":
            return {**_SPOT, "text": " ".join(text.split())[:60], "press_enter": True}
        case "click_at":
            return dict(_SPOT)
    return {}
