"""Modules of functions beside a job file that exists for one test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batchrun.spec.functions import load_functions
from batchrun.tools import Toolbox

Load = Callable[..., Toolbox]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Writes a module beside the job file and loads it, or what else is referred to."""
    modules, path, boxes = sys.modules.copy(), sys.path.copy(), list[Toolbox]()

    def load(code: str, *references: str, name: str = "job_functions", timeout: float = 30) -> Toolbox:
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        boxes.append(Toolbox(load_functions(references or [name], tmp_path), timeout=timeout))
        return boxes[-1]

    yield load
    for box in boxes:
        box.close()
    sys.path[:] = path
    for added in sys.modules.keys() - modules.keys():
        if (getattr(sys.modules[added], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[added]
