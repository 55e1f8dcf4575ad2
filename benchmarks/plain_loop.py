"""`batchrun run` on asyncio's own event loop instead of uvloop, for comparison: JOB URL RUN_DIR."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from batchrun.runs.run import Options, run
from batchrun.spec.load import load_job
from benchmarks.processes import wall

if __name__ == "__main__":
    job, url, run_dir = sys.argv[1:]
    options = Options(Path(run_dir), url)
    sys.exit(run(load_job(Path(job), ()), options, wall, run_async=asyncio.run).exit_code)
