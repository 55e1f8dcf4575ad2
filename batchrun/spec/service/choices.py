"""Whether the tools that a job chooses from are there, and its functions answered. Pure.

What a model calls that nobody answers ends its row; a choice among tools that are not there does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from batchrun.spec.asking import RequestSpec
from batchrun.spec.service.shapes import Finding, Findings, advice
from batchrun.spec.service.targets import tool_type

#: Tools that bring functions whose names are not known here.
_OPEN = frozenset({"mcp_server", "computer_use"})


def of_the_tools(turn: RequestSpec, functions: Sequence[str]) -> Findings:
    """What is to be said of a turn's tools; `functions` are the names of the user's own."""
    yield from _unanswered(turn, functions)
    choice = (turn.generation_config or {}).get("tool_choice")
    if choice is None:
        return
    if not turn.tools and not functions:
        yield _chosen("this does nothing here: there is no tool to choose; add `tools` or `functions`, or remove it")
    elif choice == "none":
        yield _chosen("with none the model calls no tool, so those of the job do nothing; remove this, or the tools")
    elif not any(tool_type(tool) in _OPEN for tool in turn.tools or ()):
        yield from _misnamed(choice, [*functions, *_names(turn)])


def _unanswered(turn: RequestSpec, functions: Sequence[str]) -> Findings:
    for index, tool in enumerate(turn.tools or ()):
        name = tool.get("name") if isinstance(tool, dict) and tool_type(tool) == "function" else None
        if isinstance(name, str) and name not in functions:
            said = "no function of yours answers its calls, and a row with such a call fails; name one in `functions`"
            yield advice(("tools", index), said)


def _chosen(message: str) -> Finding:
    return advice(("generation_config", "tool_choice"), message)


def _misnamed(choice: Any, known: Sequence[str]) -> Findings:
    allowed = choice.get("allowed_tools") if isinstance(choice, dict) else None
    names = allowed.get("tools") if isinstance(allowed, dict) else None
    for index, name in enumerate(names if isinstance(names, list) else ()):
        if isinstance(name, str) and name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
            path = ("generation_config", "tool_choice", "allowed_tools", "tools", index)
            yield advice(path, f"the job has no tool of this name; {hint}")


def _names(turn: RequestSpec) -> Iterator[str]:
    """The names of the service's tools, and those of declared functions."""
    for tool in turn.tools or ():
        name = tool.get("name") if isinstance(tool, dict) else None
        yield name if isinstance(name, str) else tool_type(tool)
