"""Finds the corpora the tests may be tried on. They are no part of the project: without them, tests skip and say so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).parents[2].parent / "shared" / "corpus"


def corpus(name: str) -> Path:
    """A path in the corpus folder (`BATCHRUN_CORPUS`, else the usual place); skips the test where it is absent."""
    path = Path(os.environ.get("BATCHRUN_CORPUS") or _BESIDE, name)
    if not path.exists():
        pytest.skip(f"corpus {name} is absent; set BATCHRUN_CORPUS to the folder that has it")
    return path
