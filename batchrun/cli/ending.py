"""What `run` and `status` say about a run's totals."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from batchrun.cli.printing import note, say
from batchrun.cli.progress import duration
from batchrun.outputs.summary import Summary
from batchrun.runs import Result


def report_end(job: Path, result: Result) -> None:
    """The last words of `run`: totals, doubts about money, files, and how to go on."""
    summary = result.summary
    if result.nothing_to_do:
        which = "the rows within the limit" if summary.pending else f"all {summary.rows:,} rows"
        say(f"Nothing to do: {which} have their outcome already; nothing was sent.")
    if result.died_before:
        note(f"An earlier process died during {result.died_before} POSTs; each may have been billed.")
    if result.stopped_by is not None:
        note(str(result.stopped_by))
    say("\n".join(summary_lines(summary)))
    if summary.pending:
        say(f"Go on with: {shlex.join(['batchrun', *sys.argv[1:]])}")
    elif summary.failed or summary.invalid_output:
        say(f"See why with: batchrun show {job} KEY; send them again, billed anew, with: batchrun retry {job}")


def summary_lines(summary: Summary) -> list[str]:
    """Totals for people."""
    classes = ("succeeded", "failed", "invalid_output", "ambiguous", "pending")
    counts = [f"{getattr(summary, name):,} {name.replace('_', ' ')}" for name in classes if getattr(summary, name)]
    counts += [f"of which {summary.in_flight:,} in flight at the service"] if summary.in_flight else []
    lines = [f"{summary.job}: {summary.rows:,} rows: {', '.join(counts) or 'none'}"]
    lines += [f"  {count:>9,}  {kind}" for kind, count in sorted(summary.errors.items(), key=lambda e: -e[1])[:10]]
    lines.append(_money(summary))
    if summary.possibly_billed_twice:
        lines.append(f"{summary.possibly_billed_twice:,} POSTs of unknown fate were sent again: perhaps billed twice")
    if summary.ambiguous:
        lines.append(f"{summary.ambiguous:,} rows are held: nobody can tell whether they were billed")
    lines += [f"{name}: {path}" for name, path in summary.outputs.items()]
    return lines


def _money(summary: Summary) -> str:
    usage = summary.usage
    tokens = ", ".join(
        f"{usage[f'total_{kind}_tokens']:,} {kind}"
        for kind in ("input", "output", "thought", "cached")
        if usage.get(f"total_{kind}_tokens") is not None
    )
    missing = usage.get("attempts_without_usage") or 0
    unknown = f"; usage unknown for {missing:,} attempts" if missing else ""
    now = f" ({summary.posts_this_run:,} now)" if summary.elapsed_s and summary.posts_this_run != summary.posts else ""
    took = f", {duration(summary.elapsed_s)}" if summary.elapsed_s else ""
    return f"{summary.posts:,} POSTs{now}, {summary.polls:,} polls, tokens: {tokens or 'none reported'}{unknown}{took}"
