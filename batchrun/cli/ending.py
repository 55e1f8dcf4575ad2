"""What `run` and `status` say about a run's totals."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator

from batchrun.cli.options import RunChoice
from batchrun.cli.printing import note, say
from batchrun.errors import BudgetError
from batchrun.interactions.client import DEFAULT_BASE_URL
from batchrun.outputs.summary import CLASSES, Summary
from batchrun.plurals import counted, duration
from batchrun.runs.directory import EMULATED
from batchrun.runs.run import Result

#: How the classes of errors begin that mending a file can end, with nothing changed in the input.
_ABOUT_FILES = ("media_", "bad_pages", "upload_", "files_", "fetch_")
_ABOUT_TRANSFORMS = ("transform_", "bad_transform")


def run_words(choice: RunChoice, target: str) -> str:
    """The arguments of `run` that go on with a run made against `target`."""
    emulated = target == EMULATED
    elsewhere = ["--base-url", target] if not emulated and target != DEFAULT_BASE_URL else []
    return " ".join([choice.words(emulated=emulated), *elsewhere])


def report_end(choice: RunChoice, result: Result) -> None:
    """The last words of `run`: totals, doubts about money, files, and how to go on."""
    summary = result.summary
    if result.nothing_to_do:
        say(_why_nothing(result))
    if result.died_before:
        note(f"An earlier process died during {counted(result.died_before, 'POST')}; each may have been billed.")
    say("\n".join(summary_lines(summary)))
    if result.stopped_by is not None and summary.pending and not isinstance(result.stopped_by, BudgetError):
        say(f"Go on with: {shlex.join(['batchrun', *sys.argv[1:]])}")
    for line in _advice(result, choice.words(emulated=choice.emulated)):
        say(line)


def _advice(result: Result, same: str) -> Iterator[str]:
    """What to do about the rows that have no usable answer; `same` are the words that name this run."""
    summary = result.summary
    if summary.unusable:
        yield f"See why with: batchrun show {same} KEY"
    never_sent = sum(result.never_sent.values())
    if summary.failed + summary.invalid_output > never_sent:
        yield f"Send again what was sent and failed, billed anew where it has to be, with: batchrun retry {same}"
    if never_sent:
        yield f"{counted(never_sent, 'row')} failed before being sent: mend the input or the job and run again."
    if any(kind.startswith(_ABOUT_FILES) for kind in result.never_sent):
        yield f"If you mend a file, or where the job looks for it, make the rows pending first: batchrun retry {same}"
    if any(kind.startswith(_ABOUT_TRANSFORMS) for kind in result.never_sent):
        yield f"A transform is run again by itself once it is edited; as it is, with: batchrun retry {same}"
    if summary.incomplete:
        yield "What is cut off would be cut off again: raise the limit, and make failed.jsonl a job of its own."
    if summary.blocked:
        yield "What the service refuses to answer, it refuses again: change those rows' prompts or media."
    if summary.awaiting_approval:
        yield f"Read the plans in results.parquet, then go on with: batchrun approve {same}"
    if summary.ambiguous > _interrupted(summary):
        yield f"See what is in doubt, with labels to look for, and decide, with: batchrun resolve {same}"
        yield f"Send what is held again, perhaps paid twice, with: batchrun retry {same} --ambiguous"
    elif summary.ambiguous:
        yield f"Run the interrupted functions again with: batchrun retry {same} --ambiguous"


def _interrupted(summary: Summary) -> int:
    """Rows that are held for the sake of a function, not of money."""
    return summary.errors.get("function_interrupted", 0)


def _why_nothing(result: Result) -> str:
    """Why not a single row was left to send."""
    summary = result.summary
    if not summary.rows:
        return "Nothing to do: the input has no rows, or none that are new, or `where` leaves all of them out."
    if not summary.posts:
        return "Nothing was sent: no row can be."
    which = "the rows within the limit" if summary.pending else f"all {counted(summary.rows, 'row')}"
    return f"Nothing to do: {which} have their outcome already; nothing was sent."


def standing_line(result: Result) -> str:
    """How a job stands after a run or a tick, in a line."""
    summary = result.summary
    parts = [f"{summary.succeeded:,} of {counted(summary.rows, 'row')} succeeded", *_standing_parts(summary)]
    parts.append(f"{counted(summary.posts_this_run, 'POST')} now")
    stopped = f"; {result.stopped_by}" if result.stopped_by is not None else ""
    return f"{summary.job}: {', '.join(parts)}{_where_to_look(result)}{stopped}"


def _where_to_look(result: Result) -> str:
    """The file with the rows that failed; for those that only wait for the user the run directory."""
    summary = result.summary
    if not (summary.unusable or summary.held):
        return ""
    failed = summary.outputs.get("failed") if summary.unusable else None
    return f"; see {(failed or result.directory.path).absolute()}"


def _standing_parts(summary: Summary) -> list[str]:
    counts = {
        "in flight": summary.in_flight,
        "to be sent": summary.pending - summary.in_flight,
        "failed": summary.unusable,
        "skipped": summary.skipped,
        "wait for you": summary.held,
    }
    return [f"{count:,} {name}" for name, count in counts.items() if count]


def summary_lines(summary: Summary) -> list[str]:
    """Totals for people."""
    counts = [f"{getattr(summary, name):,} {name.replace('_', ' ')}" for name in CLASSES if getattr(summary, name)]
    counts += [f"of which {summary.in_flight:,} in flight at the service"] if summary.in_flight else []
    lines = [f"{summary.job}: {counted(summary.rows, 'row')}: {', '.join(counts) or 'none'}"]
    lines += _stage_lines(summary)
    lines += [f"  {count:>9,}  {kind}" for kind, count in sorted(summary.errors.items(), key=lambda e: -e[1])[:10]]
    lines.append(_money(summary))
    if summary.charged_usd is not None:
        lines.append(f"charged to limits in money: ${summary.charged_usd:,.4f}, spent or perhaps spent")
    if summary.possibly_billed_twice:
        doubts = counted(summary.possibly_billed_twice, "POST")
        lines.append(f"{doubts} of unknown fate sent again: perhaps billed twice; `batchrun resolve` names them")
    if summary.function_errors:
        calls = f"{summary.function_errors:,} of {counted(summary.function_calls, 'function call')}"
        lines.append(f"{calls} gave the model an error; `batchrun show` has each")
    if summary.gone:
        why = "left the input, or may follow again from rows asked anew" if summary.stages else "left the input"
        lines.append(f"{counted(summary.gone, 'row')} {why}; what they cost is in the figures and usage.parquet")
    interrupted = _interrupted(summary)
    if summary.ambiguous > interrupted:
        rows = counted(summary.ambiguous - interrupted, "row")
        lines.append(f"{rows} held: nobody can tell whether they were billed")
    if interrupted:
        lines.append(f"{counted(interrupted, 'row')} held: nobody can tell how far a function of yours came")
    if summary.awaiting_approval:
        lines.append(f"{counted(summary.awaiting_approval, 'plan')} of research to approve before it is carried out")
    return [*lines, *output_lines(summary, failed=bool(summary.unusable))]


def _stage_lines(summary: Summary) -> list[str]:
    """The rows of each stage by where they stand."""
    width = max(map(len, summary.stages), default=0)
    return [f"  {name.ljust(width)}  {_standings(counts)}" for name, counts in summary.stages.items()]


def _standings(counts: dict[str, int]) -> str:
    order = [*CLASSES, "in_flight"]
    told = sorted(counts.items(), key=lambda item: order.index(item[0]))
    return ", ".join(f"{count:,} {standing.replace('_', ' ')}" for standing, count in told)


def output_lines(summary: Summary, *, failed: bool = True) -> list[str]:
    """Where the output files are; `failed` rows' file too."""
    shown = (each for each in summary.outputs.items() if failed or each[0] != "failed")
    whole = [f"{name.removesuffix('_jsonl')}: {path}" for name, path in shown if not name.startswith("stages.")]
    tables = {
        name.removeprefix("stages."): path for name, path in summary.outputs.items() if name.startswith("stages.")
    }
    each = [f"stages: {path.parent.parent}: {', '.join(tables)}" for path in list(tables.values())[:1]]
    return [*whole, *each]


def _money(summary: Summary) -> str:
    usage = summary.usage
    tokens = ", ".join(
        f"{usage[f'total_{kind}_tokens']:,} {kind}"
        for kind in ("input", "output", "thought", "cached")
        if usage.get(f"total_{kind}_tokens") is not None
    )
    missing = usage.get("attempts_without_usage") or 0
    unknown = f"; usage unknown for {counted(missing, 'attempt')}" if missing else ""
    now = f" ({summary.posts_this_run:,} now)" if summary.elapsed_s and summary.posts_this_run != summary.posts else ""
    took = f", {duration(summary.elapsed_s)}" if summary.elapsed_s else ""
    calls = f"{counted(summary.posts, 'POST')}{now}, {counted(summary.polls, 'poll')}"
    return f"{calls}, tokens: {tokens or 'none reported'}{unknown}{took}"
