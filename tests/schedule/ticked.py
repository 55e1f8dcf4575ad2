"""A job to be ticked, with paths that are as awkward as they may be."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batchrun.schedule.emit.ticking import Ticking

AWKWARD = "/srv/o'brien 100% $HOME;#&"

PLAIN = Ticking(
    name="nightly",
    job="/srv/jobs/nightly.yaml",
    every=5,
    arguments=(),
    key_file="/home/you/.config/batchrun/gemini.key",
    state="/home/you/.local/state/batchrun",
    program=("/srv/venv/bin/batchrun",),
    writes=("/srv/jobs", "/home/you/.local/state/batchrun"),
    log="/srv/jobs/nightly.log",
    user="root",
    group="root",
)


def ticking(**changes: Any) -> Ticking:
    return replace(PLAIN, **changes)


def installed(program: str) -> str:
    """The path of a Debian program. Skips the test where it is not installed, with a notice; CI installs it."""
    found = shutil.which(program, path="/usr/bin:/bin:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed")
    return str(Path(found))
