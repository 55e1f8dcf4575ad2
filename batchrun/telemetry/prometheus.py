"""A file of metrics for node-exporter's textfile collector: replaced every so often, and at the end of a process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from time import perf_counter

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from batchrun.engine.events import Ended, Event, Started
from batchrun.errors import BatchrunError, LockedError
from batchrun.outputs.files import draft_of, sweep
from batchrun.telemetry.figures import BOUNDS, Figures, figures_of
from batchrun.telemetry.pulse import Complain, Pulse

_SECONDS = 15.0
#: A large checkpoint is read less often: reading takes at most this share of the time.
_SHARE = 0.05
_ENDED = "batchrun_last_end_timestamp_seconds"
_CODE = "batchrun_last_exit_code"
_SUCCESS = "batchrun_last_success_timestamp_seconds"

#: Every metric there is, with what it says.
METRICS = {
    "batchrun_rows": "Rows by stage and standing: an outcome, in_flight or pending",
    "batchrun_in_flight": "Rows whose interaction is under way at the service",
    "batchrun_running": "1 while a process carries the run, 0 after it",
    "batchrun_posts_total": "POSTs made by all processes of the run",
    "batchrun_polls_total": "Polls made for interactions that have ended",
    "batchrun_tokens_total": "Tokens that the service has counted, by kind",
    "batchrun_interaction_seconds": "How long interactions took, from submission to the fetched answer",
    "batchrun_charged_dollars": "What counts against limits.max_cost: spent, or perhaps spent",
    "batchrun_last_row_timestamp_seconds": "When a row last got its outcome",
    "batchrun_oldest_in_flight_timestamp_seconds": "When the oldest interaction in flight was submitted",
    _ENDED: "When a process of the run last ended",
    _CODE: "The exit code it ended with",
    _SUCCESS: "When one last ended with exit code 0",
}


class MetricsFile:
    """Observes a run of `job`, and writes its figures to `path`. `wall` gives Unix time. Close it."""

    def __init__(self, path: Path, checkpoint: Path, job: str, wall: Callable[[], float], complain: Complain) -> None:
        self._path, self._checkpoint, self._job, self._wall = path, checkpoint, job, wall
        self._begun = self._running = False
        self._rests_until = 0.0
        self._ends: dict[str, float] = {}
        self._pulse = Pulse(self._beat, _SECONDS, f"the metrics {str(path)!r}", complain)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self._begun = self._running = True
        elif isinstance(event, Ended):
            self._end(event.exit_code)

    def fail(self, error: BatchrunError) -> None:
        """An error ends the process. The metrics of a run that another process carries are that one's."""
        if not isinstance(error, LockedError):
            self._end(error.exit_code)

    def close(self) -> None:
        """Write how the run stands at the end of this process."""
        self._rests_until, self._running = 0.0, False
        self._pulse.close()

    def _end(self, exit_code: int) -> None:
        self._begun = True
        now = self._wall()
        self._ends = {_ENDED: now, _CODE: int(exit_code)} | ({} if exit_code else {_SUCCESS: now})

    def _beat(self) -> None:
        if not self._begun or perf_counter() < self._rests_until:
            return
        began = perf_counter()
        ends = _known_ends(self._path, self._job) | self._ends
        text = text_of(self._job, figures_of(self._checkpoint), ends, running=self._running)
        _replace(self._path, text)
        self._rests_until = perf_counter() + (perf_counter() - began) / _SHARE - _SECONDS


def text_of(job: str, figures: Figures, ends: dict[str, float], *, running: bool) -> bytes:
    """The metrics in Prometheus' text format. `ends` has those about the ends of processes, by name."""

    class Collected(Collector):
        def collect(self) -> Iterator[Metric]:
            yield from _metrics(job, figures, running=running)
            for name, value in ends.items():
                yield _single(GaugeMetricFamily, name, job, value)

    registry = CollectorRegistry()
    registry.register(Collected())
    return generate_latest(registry)


def _metrics(job: str, figures: Figures, *, running: bool) -> Iterator[Metric]:
    rows = GaugeMetricFamily("batchrun_rows", METRICS["batchrun_rows"], labels=["job", "stage", "outcome"])
    for stage, standings in figures.rows.items():
        for standing, count in standings.items():
            rows.add_metric([job, stage, standing], count)
    yield rows
    in_flight = sum(standings.get("in_flight", 0) for standings in figures.rows.values())
    yield _single(GaugeMetricFamily, "batchrun_in_flight", job, in_flight)
    yield _single(GaugeMetricFamily, "batchrun_running", job, running)
    yield _single(CounterMetricFamily, "batchrun_posts_total", job, figures.posts)
    yield _single(CounterMetricFamily, "batchrun_polls_total", job, figures.polls)
    tokens = CounterMetricFamily("batchrun_tokens", METRICS["batchrun_tokens_total"], labels=["job", "kind"])
    for kind, count in figures.tokens.items():
        tokens.add_metric([job, kind], count)
    yield tokens
    yield _histogram(job, figures)
    yield from _if_known(job, figures)


def _if_known(job: str, figures: Figures) -> Iterator[Metric]:
    known = {
        "batchrun_charged_dollars": figures.charged,
        "batchrun_last_row_timestamp_seconds": figures.last_row,
        "batchrun_oldest_in_flight_timestamp_seconds": figures.oldest_in_flight,
    }
    for name, value in known.items():
        if value is not None:
            yield _single(GaugeMetricFamily, name, job, value)


def _histogram(job: str, figures: Figures) -> Metric:
    name = "batchrun_interaction_seconds"
    found = HistogramMetricFamily(name, METRICS[name], labels=["job"])
    bounds = [*map(str, map(float, BOUNDS)), "+Inf"]
    found.add_metric([job], list(zip(bounds, accumulate(figures.took), strict=True)), figures.seconds)
    return found


def _single(
    family: type[GaugeMetricFamily] | type[CounterMetricFamily], name: str, job: str, value: float
) -> GaugeMetricFamily | CounterMetricFamily:
    found = family(name, METRICS[name], labels=["job"])
    found.add_metric([job], value)
    return found


def _known_ends(path: Path, job: str) -> dict[str, float]:
    """What the file that is there says about how earlier processes ended."""
    try:
        if not path.is_file():  # a pipe would be waited for, a device have no end
            return {}
        families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
    samples = (sample for family in families for sample in family.samples if sample.labels.get("job") == job)
    return {sample.name: sample.value for sample in samples if sample.name in (_ENDED, _CODE, _SUCCESS)}


def _replace(path: Path, content: bytes) -> None:
    """At once, and readable by all: node-exporter runs as another user, and nothing in it is secret."""
    sweep(path.parent, path.name)
    with draft_of(path) as (draft, descriptor):
        draft.write_bytes(content)
        os.fchmod(descriptor, 0o644)
        draft.replace(path)
