"""What a model or an agent does in one turn, before it is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from batchrun.emulator.tools.use import Use

Step = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """`uses` come before `steps`; `summaries` say what was thought about; `late` is stamped as created at its end."""

    status: str
    steps: list[Step]
    uses: list[Use] = field(default_factory=list)
    summaries: list[str] = field(default_factory=list)
    late: bool = False


def spoken(block: dict[str, Any]) -> Step:
    return {"type": "model_output", "content": [block]}
