"""The agent with a sandbox: it writes a program, runs it, looks at the file, and tells. Nothing is really run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchrun.emulator.draws import digest
from batchrun.emulator.prompts import Prompt
from batchrun.emulator.replies.synthetic import MARK
from batchrun.emulator.rules.request import Order
from batchrun.emulator.tools.choice import uses_of
from batchrun.emulator.tools.citing import with_claims
from batchrun.emulator.tools.running import run_code
from batchrun.emulator.tools.sandbox import Program, program_for
from batchrun.emulator.tools.use import Claim, Use
from batchrun.emulator.turns import Step, Turn, spoken


def antigravity_turn(order: Order, prompt: Prompt) -> Turn:
    program = program_for(prompt.text)
    others = [tool for tool in order.tools if tool["type"] != "code_execution"]
    uses = [*_runs(order, prompt, program), *uses_of(others, prompt.text, prompt.key)]
    told = f"{MARK} I wrote a program and it printed:" if program.file is None else f"{MARK} {program.file} now holds:"
    return Turn("completed", [spoken(with_claims(told, (claim for use in uses for claim in use.claims)))], uses)


def _runs(order: Order, prompt: Prompt, program: Program) -> list[Use]:
    """The program and a look at its file, in Python unless the request gives a shell and nothing else to run it."""
    kinds = {tool["type"] for tool in order.tools}
    if "bash" in kinds and "code_execution" not in kinds:
        return []
    steps = run_code(prompt.key, "python", program.code, program.output)
    if program.file is not None:
        steps += run_code(digest("look", prompt.key), "bash", f"cat {program.file}", program.output)
    return [Use(steps, [Claim(program.output, {})], read=program.output)]


def files_left(order: Order, prompt: Prompt) -> Mapping[str, str]:
    """What the turn writes into its environment, by path."""
    program = program_for(prompt.text)
    return {} if program.file is None else {program.file: program.output}


def over_budget(order: Order, usage: Mapping[str, Any]) -> bool:
    """Whether the tokens of the interaction go over `max_total_tokens`, which ends it as incomplete."""
    config = order.body.get("agent_config") or {}
    most = config.get("max_total_tokens") if config.get("type") == "antigravity" else None
    return most is not None and usage["total_tokens"] > int(most)


def unfinished(steps: list[Step]) -> list[Step]:
    """What is there when the budget ends: the work, but no last word."""
    return [step for step in steps if step["type"] != "model_output"]
