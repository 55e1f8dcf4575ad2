"""Draws a `View` as lines of a terminal. It knows neither where the view is from, nor where the lines go."""

from __future__ import annotations

from itertools import accumulate

from rich.text import Text

from batchrun.cli.paper import Paper
from batchrun.cli.wording import counts, left_words, rates
from batchrun.plurals import counted, duration
from batchrun.views.troubles import Trouble
from batchrun.views.view import Standing, State, View

_STYLES = {
    "succeeded": "green", "skipped": "dim", "failed": "red", "invalid_output": "red", "incomplete": "yellow",
    "blocked": "red", "ambiguous": "magenta", "awaiting_approval": "magenta", "in_flight": "cyan", "waiting": "dim",
}  # fmt: skip
_STATES = {State.RUNNING: "bold green", State.ENDED: "bold"}
_BAR, _SHORT_BAR, _LEAST_BAR = 40, 10, 8
_WIDE = 60
_MOST_TROUBLES = 5
_MOST_WARNINGS = 3


def picture(view: View, paper: Paper) -> list[Text]:
    """The lines of a view, no longer and no more than there is room for. What would be missed most is drawn first."""
    room = paper.height
    parts = {}
    for name, draw in _PARTS:
        parts[name] = draw(view, paper, room)[: max(0, room)]
        room -= len(parts[name])
    return [line for name in ("head", "counts", "stages", "troubles", "said") for line in parts[name]]


def _head(view: View, paper: Paper, _room: int) -> list[Text]:
    state = Text(str(view.state), style=_STATES.get(view.state, "bold yellow"))
    since: list[Text | str] = [] if view.elapsed is None else [paper.dot, duration(view.elapsed)]
    return [paper.line(paper.text(view.job, "bold"), paper.dot, state, *since), *_progress(view, paper)]


def _progress(view: View, paper: Paper) -> list[Text]:
    """A bar with figures beside it, or below where the line is short."""
    standing, left = view.standing, left_words(view)
    if not standing.rows:
        return []
    of = f"{standing.done:,} of {counted(standing.rows, 'row')}{' so far' if view.more else ''}"
    figures = [Text(each) for each in (of, f"{100 * standing.done // standing.rows}%", left) if each]
    beside = Text("  ").join(figures)
    room = paper.width - beside.cell_len - 2
    if room >= _LEAST_BAR:
        return [paper.line(_bar(standing, min(_BAR, room), paper), "  ", beside)]
    return [_bar(standing, min(_BAR, paper.width), paper), *paper.packed(figures)]


def _bar(standing: Standing, width: int, paper: Paper) -> Text:
    """What ended well, what did not, what is in flight, and the rest; one can tell them apart without colours too."""
    signs = "#x~." if paper.ascii else "█▓▒░"
    parts = (standing.good, standing.failed + standing.held, standing.in_flight, standing.waiting)
    ends = [round(width * part / standing.rows) for part in accumulate(parts)]
    text = Text(no_wrap=True, end="")
    for sign, style, before, end in zip(signs, ("green", "red", "cyan", "dim"), [0, *ends], ends, strict=False):
        text.append(sign * (end - before), style)
    return text


def _said(view: View, paper: Paper, _room: int) -> list[Text]:
    """What goes on, and what to do something about."""
    notices = [paper.text(each, "yellow") for each in view.notices]
    warnings = [paper.text(each, "bold yellow") for each in view.warnings[-_MOST_WARNINGS:]]
    return [line for text in (*notices, *warnings) for line in paper.wrapped(text, 3)]


def _counts(view: View, paper: Paper, _room: int) -> list[Text]:
    outcomes = [Text(words, style=_STYLES[kind]) for kind, words in counts(view.standing)]
    return [*paper.packed(outcomes), *paper.packed(map(Text, rates(view)))]


def _stages(view: View, paper: Paper, room: int) -> list[Text]:
    """A line for each stage that fits."""
    labels = [paper.text(name) for name in view.stages]
    width = min(max((label.cell_len for label in labels), default=0), paper.width // 3)
    lines = [
        _stage(paper.cut(label, width), width, standing, paper)
        for label, standing in zip(labels, view.stages.values(), strict=True)
    ]
    if len(lines) <= room or room < 1:
        return lines
    more = Text(f"and {counted(len(lines) - room + 1, 'more stage')}", style="dim")
    return [*lines[: room - 1], paper.line("  ", more)]


def _stage(label: Text, width: int, standing: Standing, paper: Paper) -> Text:
    parts: list[Text | str] = ["  ", label, " " * (width - label.cell_len + 2)]
    if paper.width >= _WIDE:
        bar = _bar(standing, _SHORT_BAR, paper) if standing.rows else Text()
        parts += [bar, " " * (_SHORT_BAR - bar.cell_len + 2)]
    parts.append(f"{standing.done:,} of {standing.rows:,}")
    for kind, words in counts(standing):
        if kind not in ("succeeded", "waiting"):
            parts += [", ", Text(words, style=_STYLES[kind])]
    return paper.line(*parts)


def _troubles(view: View, paper: Paper, room: int) -> list[Text]:
    """The last classes of errors, each with its number of rows and an example."""
    shown = view.troubles[: max(0, min(_MOST_TROUBLES, room))]
    width = max((len(f"{each.count:,}") for each in shown), default=0)
    return [_trouble(each, width, paper) for each in shown]


def _trouble(trouble: Trouble, width: int, paper: Paper) -> Text:
    number = f"{trouble.count:,}".rjust(width)
    kind, key = paper.text(trouble.kind, "red"), paper.text(trouble.key)
    return paper.line("  ", number, "  ", kind, "  row ", key, ": ", paper.text(trouble.message))


#: In the order of what would be missed most.
_PARTS = (("head", _head), ("said", _said), ("counts", _counts), ("stages", _stages), ("troubles", _troubles))
