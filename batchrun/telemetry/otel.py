"""A run as traces and metrics of OpenTelemetry: a span for it and one for each row, and what is counted on the way.

Needs `opentelemetry-api` (the extra `batchrun[otel]`); `otel_sdk.py` sets up what this tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from opentelemetry.metrics import Meter
from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context

from batchrun.engine.events import Called as FunctionCalled
from batchrun.engine.events import Ended, Event, Landed, Polled, PollFailed, Posted, RowEnded, Salvaged, Started
from batchrun.errors import BatchrunError
from batchrun.rows import Outcome
from batchrun.telemetry.figures import BOUNDS
from batchrun.telemetry.records import Fields, document, failure, record_of, tokens_of

_OfRow = Posted | Landed | Salvaged | PollFailed | FunctionCalled | RowEnded
_HEAD = ("time", "level", "action", "job", "run")

#: Every span and metric there is, with what it says.
SIGNALS = {
    "batchrun.run": "A span: a process that carries a run, to its exit code",
    "batchrun.row": "A span: a row from its first POST in this process to its outcome; POSTs and answers are events",
    "batchrun.rows": "A counter: rows that got an outcome, by `outcome` and `stage`",
    "batchrun.posts": "A counter: POSTs, by `result` and `stage`",
    "batchrun.polls": "A counter: polls",
    "batchrun.tokens": "A counter: tokens, by `kind` and `stage`",
    "batchrun.in_flight": "A sum: interactions under way at the service",
    "batchrun.interaction.duration": "A histogram in seconds: from the submission to the fetched answer, by `stage`",
}


class Traces:
    """Observes a run of `job`. `wall` gives Unix time."""

    def __init__(self, tracer: Tracer, job: str, wall: Callable[[], float]) -> None:
        self._tracer, self._job, self._wall = tracer, job, wall
        self._run: Span | None = None
        self._rows: dict[str, Span] = {}

    def __call__(self, event: Event) -> None:
        now = self._wall()
        match event:
            case Polled():
                return
            case Started() | Ended():
                self._of_run(event, now)
            case Posted() | Landed() | Salvaged() | PollFailed() | FunctionCalled() | RowEnded():
                self._of_row(event, now)
            case _:
                self._span_of_run(now).add_event(record_of(event).action, self._told(event, now), _nanoseconds(now))

    def fail(self, error: BatchrunError) -> None:
        """An error ends the process."""
        now = self._wall()
        told = document(failure(error), now, self._job, "")
        self._end_run(now, _attributes(told), int(error.exit_code))

    def close(self) -> None:
        """End the spans of what goes on at the service."""
        for span in self._rows.values():
            span.set_attribute("batchrun.outcome", "pending")
            span.end(_nanoseconds(self._wall()))
        self._rows.clear()
        if self._run is not None:
            self._run.end(_nanoseconds(self._wall()))

    def _of_run(self, event: Started | Ended, now: float) -> None:
        if isinstance(event, Started):
            self._span_of_run(now).set_attributes({**self._told(event, now), "batchrun.run_id": event.run_id})
        else:
            told = {**self._told(event, now), "batchrun.run_id": event.summary.run_id}
            self._end_run(now, told, event.exit_code)

    def _end_run(self, now: float, told: Mapping[str, str | bool | int | float], exit_code: int) -> None:
        span = self._span_of_run(now)
        span.set_attributes(told)
        if exit_code:
            span.set_status(Status(StatusCode.ERROR, f"exit code {exit_code}"))

    def _span_of_run(self, now: float) -> Span:
        if self._run is None:
            about = {"batchrun.job": _clean(self._job)}
            self._run = self._tracer.start_span("batchrun.run", start_time=_nanoseconds(now), attributes=about)
        return self._run

    def _of_row(self, event: _OfRow, now: float) -> None:
        span, told = self._span_of_row(event, now), self._told(event, now)
        if not isinstance(event, RowEnded):
            span.add_event(record_of(event).action, told, _nanoseconds(now))
            if isinstance(event, Posted):
                span.set_attribute("batchrun.attempt", event.attempt)
            if name := getattr(event, "interaction_id", None):
                span.set_attribute("batchrun.interaction", _clean(name))
            return
        span.set_attributes(told)
        if event.outcome not in (Outcome.SUCCEEDED, Outcome.SKIPPED):
            span.set_status(Status(StatusCode.ERROR, str(event.outcome)))
        span.end(_nanoseconds(now))
        del self._rows[event.key]

    def _span_of_row(self, event: _OfRow, now: float) -> Span:
        if event.key not in self._rows:
            began = now - (event.seconds if isinstance(event, Posted | Landed) else 0.0)
            about = {"batchrun.job": _clean(self._job), "batchrun.row": _clean(event.key)}
            if event.stage:
                about["batchrun.stage"] = event.stage
            self._rows[event.key] = self._tracer.start_span(
                "batchrun.row", set_span_in_context(self._span_of_run(now)),
                start_time=_nanoseconds(began), attributes=about,
            )  # fmt: skip
        return self._rows[event.key]

    def _told(self, event: Event, now: float) -> Fields:
        return _attributes(document(record_of(event), now, self._job, ""))


class Metrics:
    """Observes a run of `job`, and counts."""

    def __init__(self, meter: Meter, job: str) -> None:
        self._job = _clean(job)
        self._rows = meter.create_counter("batchrun.rows", "{row}", SIGNALS["batchrun.rows"])
        self._posts = meter.create_counter("batchrun.posts", "{request}", SIGNALS["batchrun.posts"])
        self._polls = meter.create_counter("batchrun.polls", "{request}", SIGNALS["batchrun.polls"])
        self._tokens = meter.create_counter("batchrun.tokens", "{token}", SIGNALS["batchrun.tokens"])
        self._in_flight = meter.create_up_down_counter("batchrun.in_flight", "{row}", SIGNALS["batchrun.in_flight"])
        name = "batchrun.interaction.duration"
        self._took = meter.create_histogram(name, "s", SIGNALS[name], explicit_bucket_boundaries_advisory=BOUNDS)

    def __call__(self, event: Event) -> None:
        match event:
            case RowEnded(outcome=outcome, stage=stage):
                self._rows.add(1, self._about(stage, outcome=str(outcome)))
            case Posted(result=result, stage=stage):
                self._posts.add(1, self._about(stage, result=result))
                self._in_flight.add(result in ("submitted", "fetched"), self._about())
            case Salvaged():
                self._in_flight.add(1, self._about())
            case Polled():
                self._polls.add(1, self._about())
            case Landed(stage=stage, seconds=seconds, usage=usage):
                self._in_flight.add(-1, self._about())
                self._took.record(max(seconds, 0.0), self._about(stage))
                for kind, count in tokens_of(usage).items():
                    self._tokens.add(count, self._about(stage, kind=kind.removesuffix("_tokens")))
            case Started(in_flight=in_flight):
                self._in_flight.add(in_flight, self._about())

    def fail(self, error: BatchrunError) -> None:
        """It is no count."""

    def close(self) -> None:
        """Nothing waits here."""

    def _about(self, stage: str = "", **more: str) -> dict[str, str]:
        return {"batchrun.job": self._job, **({"batchrun.stage": stage} if stage else {}), **more}


def _attributes(told: Fields) -> Fields:
    """The fields of a record, under names of ours."""
    fields = {name: value for name, value in told.items() if name not in _HEAD}
    return {f"batchrun.{name}": _clean(value) if isinstance(value, str) else value for name, value in fields.items()}


def _clean(text: str) -> str:
    """What can be sent: half of a surrogate pair would cost all that is sent with it."""
    return text.encode("utf-8", "backslashreplace").decode()


def _nanoseconds(at: float) -> int:
    return int(at * 1e9)
