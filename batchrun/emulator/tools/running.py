"""Tools that run something: the sandbox and remote MCP servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchrun.emulator.replies.synthetic import MARK
from batchrun.emulator.tools.sandbox import program_for
from batchrun.emulator.tools.use import Claim, Step, Use, call_and_result


def code_execution(tool: Mapping[str, Any], text: str, key: bytes) -> Use:
    program = program_for(text)
    steps = run_code(key, "python", program.code, program.output)
    return Use(steps, [Claim(f"The code printed: {program.output}", {})], read=program.output)


def bash(tool: Mapping[str, Any], text: str, key: bytes) -> Use:
    program = program_for(text)
    steps = run_code(key, "bash", f"python3 - <<'EOF'\n{program.code}EOF\n", program.output)
    return Use(steps, [Claim(f"The program printed: {program.output}", {})], read=program.output)


def filesystem(tool: Mapping[str, Any], text: str, key: bytes) -> Use:
    """A look at the file that the words name, or at all. No step of its own is documented, so it is told as code."""
    program = program_for(text)
    listed = "emulated.txt" if program.file is None else program.output
    command = "ls" if program.file is None else f"cat {program.file}"
    return Use(run_code(key, "bash", f"{command}\n", listed), [Claim(f"The files hold: {listed}", {})], read=listed)


def run_code(key: bytes, language: str, code: str, output: str) -> list[Step]:
    call = {"arguments": {"language": language, "code": code}}
    return call_and_result("code_execution", key, call, {"result": f"{output}\n"})


def mcp_server(tool: Mapping[str, Any], text: str, key: bytes) -> Use:
    """One call of the first tool that is allowed. The server is not asked."""
    named = {"name": _tool_name(tool), "server_name": tool["name"]}
    output = f"{MARK} {tool['name']} was not asked."
    call = {**named, "arguments": {"query": text[:100]}}
    steps = call_and_result("mcp_server_tool", key, call, {**named, "result": [{"type": "text", "text": output}]})
    return Use(steps, [Claim(output, {})], read=output)


def _tool_name(tool: Mapping[str, Any]) -> str:
    allowed = (name for group in tool.get("allowed_tools") or () for name in group.get("tools") or ())
    return next(allowed, "emulated_tool")
