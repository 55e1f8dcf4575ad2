"""batchrun: resumable bulk runs on the Gemini Interactions API.

    from batchrun import Options, load_job, run

    result = run(load_job(Path("job.yaml")), Options(limit=10))
    print(result.summary.succeeded, result.exit_code)

Names are imported when they are first used, so that `batchrun --version` starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchrun.emulator import Emulator, EmulatorSettings
    from batchrun.errors import BatchrunError, Exit, RowError, RunError, SpecError
    from batchrun.outputs.summary import Summary
    from batchrun.runs.options import Options
    from batchrun.runs.run import Result, run
    from batchrun.spec.load import Job, load_job
    from batchrun.spec.model import JobSpec
    from batchrun.version import __version__

_HOMES = {
    "BatchrunError": "errors",
    "Emulator": "emulator",
    "EmulatorSettings": "emulator",
    "Exit": "errors",
    "Job": "spec.load",
    "JobSpec": "spec.model",
    "Options": "runs.options",
    "Result": "runs.run",
    "RowError": "errors",
    "RunError": "errors",
    "SpecError": "errors",
    "Summary": "outputs.summary",
    "__version__": "version",
    "load_job": "spec.load",
    "run": "runs.run",
}

__all__ = [
    "BatchrunError",
    "Emulator",
    "EmulatorSettings",
    "Exit",
    "Job",
    "JobSpec",
    "Options",
    "Result",
    "RowError",
    "RunError",
    "SpecError",
    "Summary",
    "__version__",
    "load_job",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'batchrun' has no attribute {name!r}")
    return getattr(import_module(f"batchrun.{_HOMES[name]}"), name)
