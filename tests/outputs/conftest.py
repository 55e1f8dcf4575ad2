from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conversations import Conversations


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Conversations]:
    """A run with one row, `a`, and nothing sent yet."""
    (tmp_path / "run").mkdir(mode=0o700)
    conversations = Conversations(tmp_path / "run")
    yield conversations
    conversations.close()
