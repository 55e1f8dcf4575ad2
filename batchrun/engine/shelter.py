"""What a stop waits for: a POST between its intent and its outcome, a function of the user's that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Shelter:
    """`tasks` must not be cancelled now. Once it is `closed`, no task gets in.

    Once it is `evacuated`, those inside end when they leave; before, they go on: what they have sent is polled.
    """

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()
        self.closed = False
        self.evacuated = False

    def require_open(self) -> None:
        """Raises CancelledError once it is closed: who comes too late for a POST must not wait for its turn either."""
        _end_if(self.closed)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Shelter the current task for the time of the block.

        Raises CancelledError before it if closed, after it if evacuated.
        """
        task = asyncio.current_task()
        assert task is not None
        _end_if(self.closed)
        self.tasks.add(task)
        try:
            yield
        finally:
            self.tasks.discard(task)
        _end_if(self.evacuated)


def _end_if(wished: bool) -> None:
    if wished:
        raise asyncio.CancelledError
