"""How `plan` puts what it found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from batchrun.cli.printing import json_text
from batchrun.clock import wall_clock
from batchrun.plurals import counted
from batchrun.reports.previews import Preview, preview
from batchrun.reports.stage_previews import preview_stages
from batchrun.rows import Outcome
from batchrun.runs.directory import RunDir
from batchrun.runs.forecast import ANSWER_TOKENS
from batchrun.spec.load import Job


def plan_lines(job: Job, directory: RunDir, found: Preview) -> list[str]:
    """The plan for people."""
    standing = found.standing
    lines = [f"{job.spec.name}: {counted(found.rows, 'row')} in the input, {found.to_send:,} to send; nothing was sent"]
    names = _standings(goes_on=_goes_on(job))
    if found.stages:
        lines += _stage_lines(found, names)
    else:
        lines += [f"  {standing[name]:>9,}  {text}" for name, text in names.items() if standing[name]]
    lines += _estimate(found)
    lines.append(f"run directory: {directory.path}")
    lines += [f"problem: {line}" for line in found.problem_lines]
    lines += _changes(found)
    return [*lines, *_requests(found)]


def look_ahead(job: Job, directory: RunDir | None, *, limit: int | None = None, show: int = 0) -> Preview:
    """What a run would do. Raises SpecError for what is wrong with the file as a whole."""
    if job.graph is not None:
        return preview_stages(job, directory, wall_clock(), limit=limit, show=show)
    return preview(job, directory, limit=limit, show=show)


def _stage_lines(found: Preview, names: Mapping[str, str]) -> Iterator[str]:
    for name, stage in found.stages.items():
        told = {str(outcome): outcome.replace("_", " ") for outcome in Outcome} if stage.transforms else {}
        counts = [f"{stage.standing[how]:,} {told.get(how, names[how])}" for how in names if stage.standing[how]]
        if stage.waits:
            more = "how many is not known yet" if stage.more is None else f"up to {stage.more:,}"
            counts.append(f"more follow: {more}")
        yield f"  {name}: {', '.join(counts) or 'no rows'}"


def _goes_on(job: Job) -> bool:
    """Whether a row may have more to send when an answer is there."""
    requests = [each.spec.request for each in job.asking]
    return any(
        request.turns or request.references or (request.agent_config or {}).get("collaborative_planning")
        for request in requests
    )


def _standings(*, goes_on: bool) -> dict[str, str]:
    """What to call each way a row can stand."""
    return {
        "new": "new",
        "to run": "to be transformed",
        "pending": "begun or known; figures count what is still to be sent" if goes_on else "pending, to be sent",
        "in flight": "in flight: will be fetched, not sent again"
        + ("; what follows in the conversation is in no figure" if goes_on else ""),
        "in doubt": "in doubt: a POST that may have been billed; sent again within the allowance of `retry.ambiguous`",
        "to hold": "in doubt: a POST that may have been billed; not sent again, but held (`retry.ambiguous`)",
        "beyond allowance": "in doubt, too, and beyond that allowance (`max_resubmits`): not sent again, but held",
        **{str(outcome): f"reused: {outcome.replace('_', ' ')}" for outcome in Outcome},
        "skipped": "left out, or lacking what they need",
        "unreadable": "unreadable: will fail, not billed",
        "changed": "CHANGED since they were sent: sent again only with `run --accept-change`",
    }


def _estimate(found: Preview) -> Iterator[str]:
    """What sending takes, as far as it can be known."""
    tokens, interactions = found.estimated_tokens, found.interactions
    if tokens is None or interactions is None or not found.to_send:
        return
    least, most = interactions
    about = "about " if found.tried < found.to_send else ""
    how_many = counted(least, "interaction") if least == most else f"{least:,} to {counted(most, 'interaction')}"
    yield f"to send: {'at least ' if found.more_follow else about}{how_many}"
    bound = "at least" if found.left_out or found.more_follow else "about"
    yield f"to read: {bound} {counted(tokens, 'input token')}, estimated from {counted(found.rendered, 'rendered row')}"
    if found.talks:
        yield f"  if answers have {ANSWER_TOKENS} tokens, or max_output_tokens where that is less;"
        yield "  each turn reads, and is billed for, all that was said before it"
    yield from (f"  not counted: {text}" for text in found.left_out)
    if found.more_follow:
        yield "  not counted: rows of stages that follow from answers still to come"


def _changes(found: Preview) -> Iterator[str]:
    """What was edited since the run began, if `run` would ask about it first."""
    if found.changes.refused:
        yield "the job or its input has changed since this run began: `run` refuses without --accept-change"
        yield from (f"  {line}" for line in found.changes.lines())


def _requests(found: Preview) -> Iterator[str]:
    for row in found.shown:
        total = row.begun + len(row.requests)
        for number, request in enumerate(row.requests, row.begun + 1):
            place = f", request {number} of {total}" if total > 1 else ""
            yield f"row {row.key}{place}:"
            yield json_text(request)


def plan_document(found: Preview) -> dict[str, Any]:
    """The plan as JSON values."""
    least, most = found.interactions or (None, None)
    return {
        "rows": found.rows,
        "to_send": found.to_send,
        "standing": dict(found.standing),
        "stages": {
            name: {"standing": dict(stage.standing), "may_follow": stage.waits, "at_most": stage.more}
            for name, stage in found.stages.items()
        },
        "interactions": {"at_least": least, "at_most": None if found.more_follow else most},
        "estimated_input_tokens": found.estimated_tokens,
        "assumed_answer_tokens": ANSWER_TOKENS if found.talks else None,
        "not_counted": list(found.left_out),
        "problems": found.problems,
        "changes": found.changes.document() if found.changes.refused else None,
        "requests": [
            {"key": row.key, "exchange": exchange, "request": request}
            for row in found.shown
            for exchange, request in enumerate(row.requests, row.begun)
        ],
    }
