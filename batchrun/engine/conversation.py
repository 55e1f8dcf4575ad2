"""What to do next with a row, given what has happened: pure, one case a status, no I/O.

Turns, tool replies, continuations and repairs become further cases here, not loops elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from batchrun.interactions.models import Interaction
from batchrun.outputs.answers import parse_answer
from batchrun.rows import Finish, Outcome

#: Finds what is wrong with a parsed answer; an empty list means it is right.
Check = Callable[[object], list[str]]

#: Failures of the service (not of the request) that a new interaction may well not meet.
PASSING = frozenset(
    {
        "api_error", "internal", "unavailable", "service_unavailable", "deadline_exceeded", "gateway_timeout",
        "malformed_function_call", "malformed_tool_call", "unexpected_tool_call", "aborted",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Again:
    """Make a new, billed interaction for the row."""

    reason: str


Decision = Finish | Again


def after(interaction: Interaction, check: Check | None, *, attempts_left: int) -> Decision:
    """The next step after an interaction has stopped. `check` is None where any text will do."""
    match interaction.status:
        case "completed":
            return _judge(interaction.output_text, check)
        case "failed":
            return _after_failure(interaction, attempts_left)
        case "cancelled":
            return Finish(Outcome.FAILED, "cancelled", "the interaction was cancelled at the service")
        case "requires_action":
            return Finish(Outcome.FAILED, "requires_action", "the model asks for a function call; none is configured")
        case status:  # incomplete, budget_exceeded, requires_continuation
            return Finish(Outcome.FAILED, status, f"the answer is cut off: the interaction ended as {status}")


def _after_failure(interaction: Interaction, attempts_left: int) -> Decision:
    error = interaction.error
    kind = error.code if error else "failed"
    message = (error.message if error else "") or "the interaction failed at the service without a reason"
    if attempts_left > 0 and (error is None or kind in PASSING):
        return Again(f"{kind}: {message}")
    return Finish(Outcome.FAILED, kind, message)


def _judge(text: str | None, check: Check | None) -> Finish:
    if text is None or not text.strip():
        return Finish(Outcome.INVALID_OUTPUT, "empty_output", "the interaction completed without any text")
    if check is None:
        return Finish(Outcome.SUCCEEDED)
    try:
        answer = parse_answer(text)
    except ValueError as error:
        return Finish(Outcome.INVALID_OUTPUT, "not_json", str(error))
    problems = check(answer)
    if problems:
        return Finish(Outcome.INVALID_OUTPUT, "schema_mismatch", "; ".join(problems))
    return Finish(Outcome.SUCCEEDED)
