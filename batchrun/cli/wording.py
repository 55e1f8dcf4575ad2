"""A `View` in words: what the live view and the plain lines of a run say alike."""

from __future__ import annotations

from collections.abc import Iterator

from batchrun.plurals import duration
from batchrun.rows import Outcome
from batchrun.views.estimate import Left
from batchrun.views.view import Standing, State, View

#: A range that is no wider than this, or than this many seconds, is told as one figure.
_CLOSE, _MOMENT = 1.25, 3.0
_THOUSAND, _MILLION, _BILLION = 1e3, 1e6, 1e9


def counts(standing: Standing) -> list[tuple[str, str]]:
    """What there is of each outcome, and of what has none yet, in words: (kind, words). Kinds are outcomes,
    `in_flight` and `waiting`."""
    ended = ((str(outcome), standing.ended.get(outcome, 0)) for outcome in Outcome)
    found = [(name, f"{count:,} {name.replace('_', ' ')}") for name, count in ended if count]
    found += [("in_flight", f"{standing.in_flight:,} in flight")] if standing.in_flight else []
    return found + ([("waiting", f"{standing.waiting:,} to be sent")] if standing.waiting else [])


def rates(view: View) -> Iterator[str]:
    """Rows, POSTs against their limit, tokens, money."""
    if view.rows_a_second is not None:
        yield pace(view.rows_a_second)
    if view.posts_a_minute is not None:
        of = "" if view.rpm is None else f" of {view.rpm:,.0f}"
        yield f"{view.posts_a_minute:,.0f}{of} POSTs/min"
    if view.tokens.total:
        kinds = (("in", view.tokens.input), ("out", view.tokens.output), ("thought", view.tokens.thought))
        first, *others = (f"{big(count)} {name}" for name, count in kinds if count)
        yield from (f"tokens: {first}", *others)
    if view.tokens.total and view.tokens_a_minute is not None:
        yield f"{big(view.tokens_a_minute)} tokens/min"
    if view.charged is not None:
        yield f"${view.charged:,.2f}" + ("" if view.max_cost is None else f" of ${view.max_cost:,.2f}") + " charged"


def pace(rows_a_second: float) -> str:
    """`3.1 rows/s`, `12 rows/min`, `4 rows/h`, whichever is a figure to think in."""
    for unit, times in (("s", 1), ("min", 60)):
        if rows_a_second * times >= 1:
            return f"{rows_a_second * times:,.1f} rows/{unit}"
    return f"{rows_a_second * 3600:,.1f} rows/h"


def big(count: float) -> str:
    """`950`, `12.3k`, `4.56M`."""
    for unit, size in (("G", _BILLION), ("M", _MILLION), ("k", _THOUSAND)):
        if count >= size:
            return f"{count / size:.3g}{unit}" if count < 999.5 * size else f"{count / size:,.0f}{unit}"
    return f"{count:.0f}"


def left_words(view: View) -> str:
    """`about 5m left`, `5m to 8m left`, `at least 5m left`; nothing where it cannot be told or nothing is left."""
    left = view.left
    if left is None or view.standing.rows == view.standing.done:
        return ""
    if view.more:
        return f"at least {rough(left.low)} left" if left.low >= 1 else ""
    return f"{_range(left)} left"


def _range(left: Left) -> str:
    if left.high is None:
        return f"at least {rough(left.low)}"
    if left.high <= max(left.low * _CLOSE, left.low + _MOMENT):
        return f"about {rough((left.low + left.high) / 2)}"
    return f"{rough(left.low)} to {rough(left.high)}"


def rough(seconds: float) -> str:
    """A time that is an estimate, with no more figures than it can have: `40s`, `12m`, `3h 20m`, `2d 4h`."""
    if seconds < 90:
        return f"{round(seconds)}s"
    if seconds < 5400:
        return f"{round(seconds / 60)}m"
    hours, days = round(seconds / 3600), seconds / 86400
    if days >= 2:
        return f"{hours // 24:,}d {hours % 24}h"
    return duration(round(seconds / 600) * 600).removesuffix(" 00m") if seconds < 36000 else f"{hours}h"


def progress_line(view: View) -> str:
    """`12 of 40 done · 1 failed · 20 in flight · 3.1 rows/s · tokens 12.3k in · about 9s left`."""
    standing = view.standing
    parts = [] if view.state is State.RUNNING else [str(view.state)]
    parts += [f"{standing.done:,} of {standing.rows:,}{' so far' if view.more else ''} done"]
    parts += [words for kind, words in counts(standing) if kind not in ("succeeded", "waiting")]
    return " · ".join([*parts, *rates(view), *([left] if (left := left_words(view)) else [])])
