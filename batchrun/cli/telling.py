"""The options about what a run tells programs: its log, a file for Prometheus, OpenTelemetry."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from batchrun.cli.printing import note, tell
from batchrun.cli.quantities import Size
from batchrun.clock import wall_clock
from batchrun.errors import BatchrunError, SpecError

if TYPE_CHECKING:
    from batchrun.engine.events import Event, Observer
    from batchrun.runs.directory import RunDir
    from batchrun.spec.load import Job
    from batchrun.telemetry.log import Log

_LEVELS = ("debug", "info", "warning", "off")
_ERRORS = "-"


class _Metrics(click.Path):
    """A path that node-exporter reads."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value).endswith(".prom"):
            self.fail(f"{str(value)!r}: node-exporter reads only files that end in .prom", param, ctx)
        return super().convert(value, param, ctx)


@dataclass(frozen=True)
class Telling:
    """What was asked for. `log_file` is None for the one in the run directory."""

    log_file: str | None
    log_format: str
    log_level: str
    log_size: int
    metrics_file: Path | None = None
    otel: bool = False

    @property
    def aloud(self) -> bool:
        """Whether the log goes to standard error, which it then has for itself."""
        return self.log_file == _ERRORS

    @contextmanager
    def observing(self, job: Job, directory: RunDir, *others: Observer) -> Iterator[Observer]:
        """An observer that tells the others, and all that was asked for. Raises SpecError for what cannot be had."""
        from batchrun.engine.events import to_all
        from batchrun.telemetry.pulse import guarded

        with ExitStack() as stack:
            told = list(others)
            for name, observer in self._observers(job, directory):
                stack.callback(observer.close)
                stack.enter_context(_failures(observer, directory))
                told.append(guarded(observer, name, note))
            yield to_all(*told)

    def _observers(self, job: Job, directory: RunDir) -> Iterator[tuple[str, _Observer]]:
        if self.log_level != "off":
            yield "the log", self._log(job, directory)
        if self.metrics_file is not None:
            from batchrun.telemetry.prometheus import MetricsFile

            yield "the metrics", MetricsFile(self.metrics_file, directory.checkpoint, job.spec.name, wall_clock, note)
        if self.otel:
            yield "OpenTelemetry", _open_telemetry(job)

    def _log(self, job: Job, directory: RunDir) -> Log:
        from batchrun.telemetry.log import Log
        from batchrun.telemetry.log_file import LogFile
        from batchrun.telemetry.records import Level

        path = directory.log if self.log_file is None else Path(self.log_file)
        sink = _Errors() if self.aloud else LogFile(path, self.log_size)
        level, name = Level[self.log_level.upper()], "the log" if self.aloud else f"the log {str(path)!r}"
        return Log(sink, job.spec.name, wall_clock, note, level, self.log_format, name)  # type: ignore[arg-type]


class _Observer(Protocol):
    def __call__(self, event: Event, /) -> None: ...

    def fail(self, error: BatchrunError, /) -> None: ...

    def close(self) -> None: ...


class _Errors:
    """Standard error."""

    def write(self, text: str) -> None:
        tell(text)

    def close(self) -> None:
        """It is not ours to close."""


def _open_telemetry(job: Job) -> _Observer:
    try:
        from batchrun.telemetry.otel_sdk import OpenTelemetry
    except ImportError as error:
        raise SpecError(
            f"--otel needs OpenTelemetry's SDK ({error}); nothing was sent. Get it with: pip install 'batchrun[otel]'"
        ) from None
    return OpenTelemetry(job.spec.name, wall_clock, note, os.environ)


@contextmanager
def _failures(observer: _Observer, directory: RunDir) -> Iterator[None]:
    """An error that ends the command is told too, if there was a run at all."""
    try:
        yield
    except BatchrunError as error:
        if directory.checkpoint.is_file() and _may_write(directory):
            observer.fail(error)
        raise


def _may_write(directory: RunDir) -> bool:
    """Whether nobody else has a say in what is written there: that may be the very error."""
    try:
        directory.require_ours()
    except BatchrunError:
        return False
    return True


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that add up to a Telling; the command gets it as `telling`."""

    names = [field.name for field in fields(Telling)]

    @wraps(command)
    def chosen(**given: Any) -> Any:
        asked = {name: given.pop(name) for name in names}
        return command(telling=Telling(**asked), **given)

    for option in reversed(_OPTIONS):
        chosen = option(chosen)
    return chosen


_OPTIONS = (
    click.option(
        "--log-file",
        metavar="PATH",
        help="Where the log goes; - is standard error.  [default: run.log in the run directory]",
    ),
    click.option(
        "--log-format", type=click.Choice(["json", "text"]), default="json", show_default=True, help="Its lines."
    ),
    click.option(
        "--log-level",
        type=click.Choice(_LEVELS),
        default="info",
        show_default=True,
        help="`debug` adds every answer and poll, `warning` leaves out what went well, `off` writes none.",
    ),
    click.option(
        "--log-size",
        type=Size(),
        default="10MB",
        show_default=True,
        help="It begins anew at this size, and four older ones are kept; 0 leaves that to another program.",
    ),
    click.option(
        "--metrics-file",
        type=_Metrics(path_type=Path, dir_okay=False),
        metavar="PATH.prom",
        help="Figures for node-exporter's textfile collector, every 15 s and at the end.",
    ),
    click.option("--otel", is_flag=True, help="Traces and metrics by OpenTelemetry, set up by its OTEL_* variables."),
)
