"""Runs the transforms of a pipeline's stages."""

from __future__ import annotations

import asyncio

from batchrun.engine.attempt import Stage
from batchrun.store.records import RowRecord
from batchrun.tools.running import Threads
from batchrun.tools.transforms import Transformed, timed_out


class Transformer:
    """Runs one transform at a time: users' functions need not bear being run beside themselves."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._threads = Threads()

    async def run(self, stage: Stage, row: RowRecord) -> Transformed:
        """How the row ends, and its output. A call that takes too long is left to itself."""
        assert stage.transform is not None
        async with self._turn:
            try:
                async with asyncio.timeout(stage.timeout):
                    return await asyncio.get_running_loop().run_in_executor(self._threads, stage.transform, row)
            except TimeoutError:
                return timed_out(stage.timeout)
