"""What using a tool once comes to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from batchrun.emulator.draws import digest
from batchrun.emulator.signatures import sign, step_signed

Step = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence for the answer, and the annotation that says where it comes from (without its indices)."""

    text: str
    annotation: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Use:
    """`steps` as they stand in the interaction, `grounding` what is billed by piece, `read` the text that came in."""

    steps: list[Step]
    claims: list[Claim] = field(default_factory=list)
    grounding: Counter[str] = field(default_factory=Counter)
    read: str = ""


def call_and_result(kind: str, key: bytes, call: Step, result: Step) -> list[Step]:
    """The two steps of a tool named `kind`, tied by an id and signed; those of MCP servers have no signature."""
    name = f"{kind}_{digest(kind, key).hex()[:12]}"
    asked = {"type": f"{kind}_call", "id": name, **call}
    told = {"type": f"{kind}_result", "call_id": name, **result}
    if kind == "mcp_server_tool":
        return [asked, told]
    return [{**step, "signature": sign(key, step_signed(step))} for step in (asked, told)]
