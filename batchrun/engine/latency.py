"""How long answers take, learned from the polls themselves, and when to poll next. Pure: times are passed in.

A poll does not see when an answer came, only that it was not there at the poll before and is there now. So what is
learned from is an interval, and it counts where the intervals of other rows overlap it, not at its end: the schedule
does not take its own gaps for latencies. What the service says about times does not help: agents stamp `created` and
`updated` alike.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Sequence
from itertools import accumulate
from math import inf
from operator import add, mul, sub

from batchrun.engine.polling import Poll, Running
from batchrun.interactions.evidence import Answer
from batchrun.spec.model import PollSpec

#: A bin of the histogram is this much wider than the one before: 12 bins double a latency.
_RATIO = 2 ** (1 / 12)
_SHORTEST, _LONGEST = 0.01, 3 * 86400.0
#: So many answers' worth of doubt is spread evenly over an interval. It keeps open what no poll has looked at.
_DOUBT = 8.0
#: Fewer answers teach nothing; after so many, all that were seen so far count half.
_FEWEST, _MOST = 8, 256
#: What a poll has to save, as a part of the mean latency: waits about as long as without learning, in half the polls.
_WORTH = 0.1
#: The part of the answers that may wait longer than the ceiling for the first poll, and that no poll is planned for.
_EARLY, _LATE = 0.05, 0.005
#: Rows sent together are polled up to this much apart, as a part of their age. Less than half a bin.
_SPREAD = 0.02
_GOLDEN = 0.6180339887498949
#: Rows may name models of their own, as many as they like.
_MOST_KINDS = 64


class Latencies:
    """What is known of each kind of request, such as those to one model."""

    def __init__(self, spec: PollSpec) -> None:
        self._spec = spec
        self._kinds: dict[Hashable, Latency] = {}

    def of(self, kind: Hashable) -> Latency:
        """The latency of a kind; when there are too many kinds, the further ones share one."""
        if kind not in self._kinds:
            kind = kind if len(self._kinds) < _MOST_KINDS else None
            self._kinds.setdefault(kind, Latency(self._spec))
        return self._kinds[kind]


class Latency:
    """What is known of one kind, and the ages (seconds since the submission) at which to poll what is of this kind.

    Bin n reaches from edge n - 1 to edge n. Polls are advised at edges, the first of which is the job's `poll.first`.
    For each bin: how many answers came in it, and how many interactions ran when it began. Their ratio tells the truth
    from the first minute, when slow answers are still to come; a histogram of what has come would not.
    """

    def __init__(self, spec: PollSpec) -> None:
        self.polls: Sequence[float] = ()
        self._ceiling = spec.ceiling
        self._edges = _edges(max(min(spec.first, spec.ceiling), _SHORTEST))
        self._middles = [edge * _RATIO**-0.5 for edge in self._edges]
        self._came = [0.0] * len(self._edges)
        self._ran = [0.0] * len(self._edges)
        self._seen = 0
        self._plan_at = _FEWEST

    def next(self, age: float) -> float:
        """The age at which to poll what still runs at `age`; infinity if nothing is known of what runs as long."""
        place = bisect_right(self.polls, age * (1 + _SPREAD))
        return self.polls[place] if place < len(self.polls) else inf

    def ran(self, after: float, until: float) -> None:
        """One ran on between these ages."""
        bins = slice(bisect_right(self._middles, after), bisect_right(self._middles, until))
        self._ran[bins] = [ran + 1 for ran in self._ran[bins]]

    def came(self, after: float, by: float) -> None:
        """An answer came between these ages: it counts in the bins of which half is in between, as they did so far."""
        first = bisect_right(self._middles, after, hi=len(self._middles) - 1)
        bins = slice(first, max(bisect_right(self._middles, by), first + 1))
        came = self._came[bins]
        known, doubt = sum(came), _DOUBT / len(came)
        shares = [(count + doubt) / (known + _DOUBT) for count in came]
        later = list(accumulate(reversed(shares)))[::-1]
        self._came[bins] = map(add, came, shares)
        self._ran[bins] = map(add, self._ran[bins], later)
        self._seen += 1
        if self._seen >= self._plan_at:
            self._plan()

    def _plan(self) -> None:
        self.polls = plan(self._edges, share_come(self._came, self._ran), self._ceiling)
        if self._seen > _MOST:
            self._came = [count / 2 for count in self._came]
            self._ran = [count / 2 for count in self._ran]
            self._seen //= 2
        self._plan_at = self._seen + max(_FEWEST, self._seen // 2)


class Timing:
    """When to poll one interaction. Times are those of any one clock; `begun` is when it was submitted.

    `number` tells it from others. A resumed interaction is polled at once: it may have ended long ago, and so nothing
    is learned from it unless a poll finds it running.
    """

    def __init__(self, spec: PollSpec, latency: Latency, begun: float, number: int, *, resumed: bool = False) -> None:
        self._spec, self._latency, self._begun = spec, latency, begun
        self._spread = 1 + _SPREAD * (number * _GOLDEN % 1)
        self._resumed = resumed
        self._polled = False
        self._ran_at = None if resumed else 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next poll. The ceiling holds, but not for the first: see `plan`."""
        if self._resumed and not self._polled:
            return 0.0
        age = max(0.0, now - self._begun)
        due = self._latency.next(age)
        if due < inf:
            return min(due * self._spread - age, self._spec.ceiling if self._polled else inf)
        wait = self._spec.first + (self._spec.growth - 1) * age  # so each is `growth` times the one before
        return min(max(wait, _SHORTEST) * self._spread, self._spec.ceiling)

    def saw(self, poll: Poll, now: float) -> None:
        """What a poll found. Only the first that finds the answer tells how long it took: usage may follow later."""
        self._polled = True
        age = now - self._begun
        if isinstance(poll, Running):
            if self._ran_at is not None:
                self._latency.ran(self._ran_at, age)
            self._ran_at = age
        elif isinstance(poll, Answer) and self._ran_at is not None:
            self._latency.came(self._ran_at, age)
            self._ran_at = None


def share_come(came: Sequence[float], ran: Sequence[float]) -> list[float]:
    """The part of all answers that has come at the end of each bin (Kaplan and Meier's estimate)."""
    parts = (1 - min(now / all_, 1) if all_ else 1.0 for now, all_ in zip(came, ran, strict=True))
    return [1 - running for running in accumulate(parts, mul)]


def plan(edges: Sequence[float], come: Sequence[float], ceiling: float) -> list[float]:
    """The edges at which to poll, so that waits of what is ready and the price of the polls are least together.

    `come` is the part of the answers that has come by each edge; some may come after all of them. No two polls are
    further apart than `ceiling` or one bin, and the first comes soon enough for all but a few early answers.

    It is found from the end: which polls are best after an edge does not depend on those before.
    """
    last = best = bisect_left(come, (1 - _LATE) * come[-1])
    early = min(bisect_left(come, _EARLY), last)
    parts = map(sub, come, (0.0, *come))
    weight = list(accumulate(map(mul, parts, edges)))
    price = _WORTH * (weight[last] + (1 - come[last]) * edges[last])
    costs, follows = {last: 0.0}, {}
    for here in range(last - 1, early - 2, -1):
        n, w = (come[here], weight[here]) if here >= early else (0.0, 0.0)
        reach = bisect_right(edges, edges[max(here, early)] + ceiling) - 1
        cost, best = min(
            (edges[then] * (come[then] - n) - (weight[then] - w) + costs[then], then)
            for then in range(here + 1, max(here + 1, min(best, reach)) + 1)  # an earlier edge has an earlier best
        )
        costs[here], follows[here] = cost + price * (1 - n), best
    return [edges[place] for place in _chain(follows, early - 1)]


def _chain(follows: dict[int, int], place: int) -> list[int]:
    found = []
    while place in follows:
        place = follows[place]
        found.append(place)
    return found


def _edges(first: float) -> list[float]:
    edges = [first]
    while edges[-1] < _LONGEST:
        edges.append(edges[-1] * _RATIO)
    return edges
