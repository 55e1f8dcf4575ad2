"""Traces and metrics, as OpenTelemetry's own SDK hands them on, and as a collector on the line gets them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from batchrun.cli import commands
from batchrun.engine.events import Posted, RowEnded, Started, to_all
from batchrun.errors import Exit, LockedError
from batchrun.rows import Outcome
from batchrun.runs.options import Options
from batchrun.runs.run import run
from batchrun.spec.load import load_job
from batchrun.telemetry.otel import SIGNALS, Metrics, Traces
from tests.processes import COMMAND, write_job
from tests.rehearsal import Rehearsal


class Collected:
    """What comes of a run, in memory."""

    def __init__(self, job: Rehearsal) -> None:
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.traces = Traces(tracers.get_tracer("test"), "sums", job.clock.wall)
        self.observe = to_all(self.traces, Metrics(meters.get_meter("test"), "sums"))

    def spans(self, name: str) -> list[ReadableSpan]:
        self.traces.close()
        return [span for span in self._spans.get_finished_spans() if span.name == name]

    def counts(self, name: str, by: str = "batchrun.job") -> dict[Any, Any]:
        """The values of a metric, by one of its attributes; of a histogram the counts."""
        data = self._reader.get_metrics_data()
        assert data is not None
        points = [
            point
            for metric in data.resource_metrics[0].scope_metrics[0].metrics
            if metric.name == name
            for point in metric.data.data_points
        ]
        return {(p.attributes or {}).get(by): p.count if hasattr(p, "count") else p.value for p in points}


def collect(job: Rehearsal, **emulator: Any) -> Collected:
    collected = Collected(job)
    job.run(observe=collected.observe, **emulator)
    return collected


def about(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_run_is_a_span_with_one_below_it_for_each_row(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 5)
    found = collect(job)
    [whole], rows = found.spans("batchrun.run"), found.spans("batchrun.row")
    assert {row.parent.span_id for row in rows if row.parent} == {whole.context.span_id}
    told = {about(row)["batchrun.row"]: about(row)["batchrun.interaction"] for row in rows}
    assert told == {each["key"]: each["interaction_id"] for each in job.usage()}
    assert {about(row)["batchrun.outcome"] for row in rows} == {"succeeded"}
    assert (about(whole)["batchrun.exit_code"], about(whole)["batchrun.succeeded"]) == (0, 5)
    assert all((row.end_time or 0) - (row.start_time or 0) >= 1e9 for row in rows)  # answers take some 20 s


def test_a_row_tells_its_attempts_and_a_failure_is_an_error(tmp_path: Path) -> None:
    found = collect(Rehearsal(tmp_path, 3), faults="schema_violation:1")
    for row in found.spans("batchrun.row"):
        posts = [event for event in row.events if event.name == "row.posted"]
        assert (row.status.status_code, about(row)["batchrun.outcome"]) == (StatusCode.ERROR, "invalid_output")
        assert about(row)["batchrun.attempt"] == len(posts)
    [whole] = found.spans("batchrun.run")
    assert (whole.status.status_code, about(whole)["batchrun.exit_code"]) == (StatusCode.ERROR, 3)


def test_metrics_are_those_of_the_run(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 6)
    found = collect(job, faults="503:0.3")
    usage = job.usage()
    assert found.counts("batchrun.rows", "outcome") == {"succeeded": 6}
    assert found.counts("batchrun.posts", "result")["submitted"] == 6
    tokens = found.counts("batchrun.tokens", "kind")
    assert tokens["input"] == sum(each["total_input_tokens"] for each in usage)
    assert (found.counts("batchrun.interaction.duration"), found.counts("batchrun.in_flight")) == (
        {"sums": 6},
        {"sums": 0},
    )


def test_what_a_tick_leaves_at_the_service_is_pending(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 2)
    found = Collected(job)
    options = Options(emulator=job.settings(latency="6h"), seed=1, patient=False)
    run(load_job(job.write()), options, job.clock.wall, found.observe, job.clock.run)
    assert [about(row)["batchrun.outcome"] for row in found.spans("batchrun.row")] == ["pending"] * 2
    assert found.counts("batchrun.in_flight") == {"sums": 2}


def test_an_error_that_ends_the_process_is_told(tmp_path: Path) -> None:
    found = Collected(Rehearsal(tmp_path, 1))
    found.traces.fail(LockedError("busy"))
    [whole] = found.spans("batchrun.run")
    assert (about(whole)["batchrun.exit_code"], about(whole)["batchrun.error"]) == (Exit.TRY_LATER, "busy")


def test_a_key_that_cannot_be_sent_as_text_is_escaped(tmp_path: Path) -> None:
    found = Collected(Rehearsal(tmp_path, 1))
    for event in (Started(1, 0), Posted("a\udc80", "submitted"), RowEnded("a\udc80", Outcome.SUCCEEDED, None, None)):
        found.observe(event)
    [row] = found.spans("batchrun.row")
    assert about(row)["batchrun.row"] == "a\\udc80"


# -- on the line -----------------------------------------------------------------------------------------------------


class Receiver:
    """An OTLP/HTTP collector on loopback; one that is `silent` answers nothing."""

    def __init__(self, *, silent: bool = False) -> None:
        self.bodies: dict[str, list[bytes]] = {}
        self._silent = silent

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.setdefault(request.path, []).append(await request.read())
        if self._silent:
            await asyncio.sleep(3600)
        return web.Response()

    async def told_by(self, where: Path, *arguments: str, **variables: str) -> tuple[int | None, str, float]:
        """A command's exit code, its standard error and how long it took, with this as its collector."""
        app = web.Application()
        app.router.add_post("/{path:.*}", self.take)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        env = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{runner.addresses[0][1]}", **variables}
        began = asyncio.get_running_loop().time()
        options = {"cwd": where, "env": env, "stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
        process = await asyncio.create_subprocess_exec(*COMMAND, *arguments, **options)  # type: ignore[arg-type]
        _, err = await asyncio.wait_for(process.communicate(), 60)
        took = asyncio.get_running_loop().time() - began
        await runner.cleanup()
        return process.returncode, err.decode(), took


RUN = ("run", "job.json", "--emulator", "--quiet", "--otel")


def test_a_collector_gets_the_spans_and_metrics_and_nothing_secret(tmp_path: Path) -> None:
    write_job(tmp_path, 3)
    receiver, key = Receiver(), "AIza" + "Sy" + "0123456789abcdefghijklmnopqrstuvw"
    named = {"OTEL_SERVICE_NAME": "nightly", "GEMINI_API_KEY": key}
    code, err, _ = asyncio.run(receiver.told_by(tmp_path, *RUN, **named))
    assert (code, err) == (0, "")
    traces = [ExportTraceServiceRequest.FromString(body) for body in receiver.bodies["/v1/traces"]]
    resources = [each for request in traces for each in request.resource_spans]
    spans = [span.name for each in resources for scope in each.scope_spans for span in scope.spans]
    assert (spans.count("batchrun.row"), spans.count("batchrun.run")) == (3, 1)
    assert "nightly" in {pair.value.string_value for each in resources for pair in each.resource.attributes}
    metrics = [ExportMetricsServiceRequest.FromString(body) for body in receiver.bodies["/v1/metrics"]]
    names = {m.name for r in metrics for e in r.resource_metrics for scope in e.scope_metrics for m in scope.metrics}
    assert names == {name for name in SIGNALS if name not in ("batchrun.run", "batchrun.row")}
    sent = b"".join(body for bodies in receiver.bodies.values() for body in bodies)
    assert (key.encode()[4:14] in sent, b"word1" in sent, b"r1" in sent) == (False, False, True)


@pytest.mark.parametrize("kind", ["silent", "gone"])
def test_without_a_collector_the_run_ends_all_the_same(tmp_path: Path, kind: str) -> None:
    write_job(tmp_path, 2)
    gone = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"} if kind == "gone" else {}
    code, err, took = asyncio.run(Receiver(silent=True).told_by(tmp_path, *RUN, **gone))
    assert (code, took < 30, "Traceback" in err) == (0, True, False)
    assert len(err.splitlines()) <= 1
    assert json.loads((tmp_path / "runs" / "job.emulated" / "run.json").read_text())["succeeded"] == 2


def test_an_exporter_that_is_not_there_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    write_job(tmp_path, 1)
    code, err, _ = asyncio.run(Receiver().told_by(tmp_path, *RUN, OTEL_TRACES_EXPORTER="zipkin"))
    assert (code, "no exporter 'zipkin'" in err, (tmp_path / "runs").exists()) == (65, True, False)


def test_without_the_extra_it_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_job(tmp_path, 1)
    for name in [name for name in sys.modules if name.startswith("batchrun.telemetry.otel")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("opentelemetry.sdk.metrics", "opentelemetry.metrics"):
        monkeypatch.setitem(sys.modules, name, None)
    done = CliRunner().invoke(commands, ["run", str(tmp_path / "job.json"), "--emulator", "--otel"])
    assert (done.exit_code, "pip install 'batchrun[otel]'" in done.output + done.stderr) == (65, True)
    assert not (tmp_path / "runs").exists()
