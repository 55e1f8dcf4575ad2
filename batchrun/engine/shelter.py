"""What a stop waits for: a POST between its intent and its outcome, a function of the user's that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Shelter:
    """`tasks` must not be cancelled now. Once it is `closed`, no task gets in and those inside end when they leave."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()
        self.closed = False

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Shelter the current task for the time of the block. Raises CancelledError before or after it if closed."""
        task = asyncio.current_task()
        assert task is not None
        self._leave_if_closed()
        self.tasks.add(task)
        try:
            yield
        finally:
            self.tasks.discard(task)
        self._leave_if_closed()

    def _leave_if_closed(self) -> None:
        if self.closed:
            raise asyncio.CancelledError
