"""How `plan` puts what it found."""

from __future__ import annotations

from typing import Any

from batchrun.cli.printing import counted, json_text
from batchrun.previews import Preview
from batchrun.rows import Outcome
from batchrun.rundir import RunDir
from batchrun.spec.load import Job


def plan_lines(job: Job, directory: RunDir, found: Preview) -> list[str]:
    """The plan for people."""
    standing, tokens = found.standing, found.estimated_tokens
    lines = [f"{job.spec.name}: {counted(found.rows, 'row')} in the input, {found.to_send:,} to send; nothing was sent"]
    names = {"new": "new", "pending": "known, not sent yet", "in flight": "in flight: will be fetched, not sent again"}
    names |= {str(outcome): f"reused: {outcome.replace('_', ' ')}" for outcome in Outcome}
    names |= {
        "unreadable": "unreadable: will fail, not billed",
        "changed": "CHANGED since they were sent: `run` refuses",
    }
    lines += [f"  {standing[name]:>9,}  {text}" for name, text in names.items() if standing[name]]
    if tokens is not None and found.to_send:
        lines.append(f"about {tokens:,} input tokens, estimated from {found.rendered:,} rendered rows")
    lines.append(f"run directory: {directory.path}")
    lines += [f"problem: {line}" for line in found.problem_lines]
    lines += [json_text(request) for request in found.requests]
    return lines


def plan_document(found: Preview) -> dict[str, Any]:
    """The plan as JSON values."""
    return {
        "rows": found.rows,
        "to_send": found.to_send,
        "standing": dict(found.standing),
        "estimated_input_tokens": found.estimated_tokens,
        "problems": found.problems,
        "requests": found.requests,
    }
