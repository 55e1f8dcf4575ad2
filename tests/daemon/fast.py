"""`schedule run` for which a second is over in a hundredth of one: python -m tests.daemon.fast DIR URL BEGAN."""

from __future__ import annotations

import sys
from pathlib import Path

from batchrun.cli import begin_process
from batchrun.cli.daemon import serve, teller
from batchrun.clock import wall_clock
from tests.reliability.fast_time import SPEED, _FastLoop
from tests.virtual_time import EPOCH


def main() -> None:
    """`BEGAN` (Unix seconds) is when it was 2026-11-22 at 13:00 UTC, the same for every life."""
    directory, url, began = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    begin_process()
    given = {
        "overrides": [],
        "emulator": False,
        "latency": "0ms",
        "replies": "synthetic",
        "base_url": url,
        "api_version": "v1beta",
        "accept_change": False,
    }
    wall = lambda: EPOCH + (wall_clock() - began) * SPEED  # noqa: E731
    grace = 30 * SPEED
    tell = teller("text", quiet=False)
    sys.exit(serve([directory], given, tell, at_once=4, grace=grace, wall=wall, loop_factory=_FastLoop))


if __name__ == "__main__":
    main()
