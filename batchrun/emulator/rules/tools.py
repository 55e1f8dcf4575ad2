"""`tools` and `tool_choice`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from batchrun.emulator.envelopes import invalid, unknown_parameter
from batchrun.emulator.rules import checks
from batchrun.emulator.rules.checks import Check, anything, boolean, list_of, record, text

_MODES = ("auto", "any", "none", "validated")
_RETRIEVAL = ("vertex_ai_search", "rag_store", "exa_ai_search", "parallel_ai_search")
_STORE = re.compile(r"fileSearchStores/[a-z0-9][a-z0-9-]{0,62}")


def _stores(value: object, where: str) -> None:
    list_of(text)(value, where)
    if not value:
        raise invalid(f"Invalid value at {where!r}: name at least one file search store.")
    for name in value if isinstance(value, list) else ():
        if not _STORE.fullmatch(name):
            raise invalid(f"Invalid value at {where!r}: {checks.shown(name)}; write it as 'fileSearchStores/NAME'.")


_FIELDS: Mapping[str, dict[str, Check]] = {
    "function": {
        "name": text,
        "description": text,
        "parameters": checks.mapping,
        "defer_loading": boolean,
        "short_description": text,
    },
    "google_search": {"search_types": list_of(checks.one_of("web_search", "image_search", "enterprise_web_search"))},
    "google_maps": {
        "enable_widget": boolean,
        "latitude": checks.number_between(-90, 90),
        "longitude": checks.number_between(-180, 180),
    },
    "code_execution": {},
    "url_context": {},
    "file_search": {"file_search_store_names": _stores, "metadata_filter": text, "top_k": checks.positive},
    "computer_use": {
        "environment": checks.one_of("browser", "mobile", "desktop"),
        "excluded_predefined_functions": list_of(text),
        "disabled_safety_policies": list_of(text),
        "enable_prompt_injection_detection": boolean,
    },
    "mcp_server": {
        "name": text,
        "url": text,
        "headers": checks.mapping,
        "allowed_tools": list_of(record({"mode": checks.one_of(*_MODES), "tools": list_of(text)})),
    },
    "retrieval": {
        "retrieval_types": list_of(checks.one_of(*_RETRIEVAL)),
        **{f"{kind}_config": anything for kind in _RETRIEVAL},
    },
    "tool_search": {
        "execution": checks.one_of("server", "client"),
        "name": text,
        "description": text,
        "parameters": checks.mapping,
    },
    "bash": {},
    "filesystem": {},
}
_NEEDED = {"mcp_server": ("name", "url"), "file_search": ("file_search_store_names",)}
_ALLOWED = record({"allowed_tools": record({"mode": checks.one_of(*_MODES), "tools": list_of(text)})})


def tools(value: object, where: str) -> None:
    list_of(_tool)(value, where)


def tool_choice(value: object, where: str) -> None:
    checks.either((str, checks.one_of(*_MODES)), (dict, _ALLOWED))(value, where)


def _tool(tool: object, where: str) -> None:
    if not isinstance(tool, dict):
        raise checks.wrong_type("an object", tool, where)
    kind = tool.get("type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise invalid(f"Invalid value at '{where}.type': {checks.shown(kind)}. Expected one of: {', '.join(_FIELDS)}.")
    if kind == "function":
        function(tool, where)
    else:
        _fields(tool, _FIELDS[kind], where)
        checks.demand(tool, where, *_NEEDED.get(kind, ()))


def _fields(tool: Mapping[str, Any], fields: Mapping[str, Check], where: str) -> None:
    for name, value in tool.items():
        if name == "type":
            continue
        if name not in fields:
            raise unknown_parameter(name, where)
        if value is not None:
            fields[name](value, f"{where}.{name}")


def function(tool: Mapping[str, Any], where: str) -> None:
    """A function that a model may call."""
    _fields(tool, _FIELDS["function"], where)
    if not tool.get("name"):
        raise invalid(f"Missing required field 'name' at {where!r}.")
    parameters = tool.get("parameters") or {}
    if parameters.get("required") == []:
        raise invalid(f"Invalid value at '{where}.parameters.required': must not be empty; leave it out.")
