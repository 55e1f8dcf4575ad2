"""OpenTelemetry's SDK, set up by its own OTEL_* variables and shut down within some seconds, collector or not.

Needs the extra `batchrun[otel]`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from time import perf_counter
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from batchrun.engine.events import Event, to_all
from batchrun.errors import BatchrunError, SpecError
from batchrun.telemetry.otel import Metrics, Traces
from batchrun.telemetry.pulse import Complain
from batchrun.version import __version__

#: How long the end of a process waits for the collector.
_PATIENCE = 5.0


class OpenTelemetry:
    """Observes a run. Raises SpecError for variables that name what is not there. Close it."""

    def __init__(self, job: str, wall: Callable[[], float], complain: Complain, environment: Mapping[str, str]) -> None:
        _tell_once(complain)
        resource = Resource({"service.name": "batchrun", "service.version": __version__})
        resource = resource.merge(OTELResourceDetector().detect())
        self._tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        for exporter in _exporters("TRACES", environment):
            self._tracers.add_span_processor(BatchSpanProcessor(exporter))
        readers = [PeriodicExportingMetricReader(exporter) for exporter in _exporters("METRICS", environment)]
        self._meters = MeterProvider(readers, resource, shutdown_on_exit=False)
        self._traces = Traces(self._tracers.get_tracer("batchrun", __version__), job, wall)
        self._told = to_all(self._traces, Metrics(self._meters.get_meter("batchrun", __version__), job))

    def __call__(self, event: Event) -> None:
        self._told(event)

    def fail(self, error: BatchrunError) -> None:
        """An error ends the process."""
        self._traces.fail(error)

    def close(self) -> None:
        """Send what is left; give that up after some seconds."""
        self._traces.close()
        ends = [threading.Thread(target=each.shutdown, daemon=True) for each in (self._tracers, self._meters)]
        for end in ends:
            end.start()
        give_up = perf_counter() + _PATIENCE
        for end in ends:
            end.join(max(0.0, give_up - perf_counter()))


def _exporters(signal: str, environment: Mapping[str, str]) -> list[Any]:
    """Those that OTEL_TRACES_EXPORTER, or OTEL_METRICS_EXPORTER, names; without it the one of OTLP."""
    names = [name.strip() for name in environment.get(f"OTEL_{signal}_EXPORTER", "otlp").split(",")]
    return [_exporter(signal, name, environment) for name in names if name not in ("", "none")]


def _exporter(signal: str, name: str, environment: Mapping[str, str]) -> Any:
    if name == "otlp":
        general = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        name = f"otlp_proto_{environment.get(f'OTEL_EXPORTER_OTLP_{signal}_PROTOCOL', general).partition('/')[0]}"
    for found in entry_points(group=f"opentelemetry_{signal.lower()}_exporter", name=name):
        return found.load()()
    raise SpecError(f"--otel: OTEL_{signal}_EXPORTER: no exporter {name!r} is installed; nothing was sent.")


class _Once(logging.Handler):
    """Says the first thing that the SDK complains of: it repeats itself for each batch that it cannot send."""

    def __init__(self, complain: Complain) -> None:
        super().__init__(logging.WARNING)
        self._complain: Complain | None = complain

    def emit(self, record: logging.LogRecord) -> None:
        complain, self._complain = self._complain, None
        if complain is not None:
            complain(f"OpenTelemetry: {record.getMessage()}; the run goes on")


def _tell_once(complain: Complain) -> None:
    logger = logging.getLogger("opentelemetry")
    logger.handlers[:] = [_Once(complain)]
    logger.propagate = False
