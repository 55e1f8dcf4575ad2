"""Which of its tools a model uses: those that the prompt calls for, or the first one if it calls for none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from batchrun.emulator.draws import digest
from batchrun.emulator.tools import grounding, running
from batchrun.emulator.tools.use import Use

_Tool = Mapping[str, Any]
_USES: Mapping[str, Callable[[_Tool, str, bytes], Use]] = {
    "google_search": grounding.google_search,
    "google_maps": grounding.google_maps,
    "url_context": grounding.url_context,
    "file_search": grounding.file_search,
    "retrieval": grounding.retrieval,
    "code_execution": running.code_execution,
    "bash": running.bash,
    "filesystem": running.filesystem,
    "mcp_server": running.mcp_server,
}
_ALWAYS = frozenset({"google_search", "file_search", "retrieval", "mcp_server"})
_CODE = re.compile(r"\b(?:code|python|script|program|calculate|compute|run|sum|plot|numbers?)\b", re.I)
_CALLS_FOR = {
    "url_context": re.compile(r"https?://"),
    "google_maps": re.compile(r"\b(?:near|nearby|restaurants?|route|directions|map|address|hotels?|cafes?)\b", re.I),
    "code_execution": _CODE,
    "bash": _CODE,
    "filesystem": re.compile(r"\b(?:files?|folders?|director(?:y|ies)|read|write|save)\b", re.I),
}


def uses_of(tools: Iterable[_Tool], text: str, key: bytes) -> list[Use]:
    """What the declared server tools do for this prompt, in the order in which they were declared."""
    known = [tool for tool in tools if tool["type"] in _USES]
    chosen = [tool for tool in known if _called_for(tool["type"], text)] or known[:1]
    return [_USES[tool["type"]](tool, text, digest("tool", key, number)) for number, tool in enumerate(chosen)]


def _called_for(kind: str, text: str) -> bool:
    return kind in _ALWAYS or _CALLS_FOR[kind].search(text) is not None
