"""Runs the user's functions that an answer calls, each once: intent before it, result after it, both durable."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from batchrun.engine.events import Called
from batchrun.engine.means import Means
from batchrun.engine.shelter import Shelter
from batchrun.errors import HeldError
from batchrun.interactions.models import FunctionCall
from batchrun.spec.asking import FunctionCallingSpec
from batchrun.store.records import RowRecord, ToolCallRecord
from batchrun.tools import Toolbox


class Caller:
    """Carries out function calls, in `shelter` while they run."""

    def __init__(self, toolbox: Toolbox, spec: FunctionCallingSpec, means: Means, shelter: Shelter) -> None:
        self._toolbox, self._spec, self._shelter = toolbox, spec, shelter
        self._store, self._reader, self._wall, self._observe = means.store, means.reader, means.wall, means.observe
        self._slots = asyncio.Semaphore(spec.at_once)

    async def results(self, row: RowRecord, attempt_id: int, calls: Sequence[FunctionCall]) -> list[dict[str, Any]]:
        """A `function_result` step for each call. Raises HeldError where an earlier run died in the midst of one."""
        known = {call.position: call for call in self._reader.tool_calls(attempt_id)}
        self._hold_interrupted(known.values())
        with self._shelter.hold():  # a stop lets functions end: cut off, nobody could tell what they have done
            work = [self._one(row, attempt_id, n, call, known.get(n)) for n, call in enumerate(calls)]
            return [done.step for done in await asyncio.gather(*work)]

    def _hold_interrupted(self, known: Iterable[ToolCallRecord]) -> None:
        names = [call.name for call in known if call.ended_at is None and not call.released]
        if names and self._spec.interrupted == "hold":
            raise HeldError(
                "function_interrupted",
                f"a process died while it ran {', '.join(names)}: nobody can tell how far it came. "
                "`batchrun retry --ambiguous` runs it again",
            )

    async def _one(
        self, row: RowRecord, attempt_id: int, position: int, call: FunctionCall, known: ToolCallRecord | None
    ) -> ToolCallRecord:
        if known is not None and known.ended_at is not None:
            return known
        async with self._slots:
            await self._store.call_begins(attempt_id, position, call, self._wall())
            outcome = await self._toolbox.call(call.name, call.arguments)
            ended = self._wall()
            await self._store.call_ends(attempt_id, position, outcome.result, outcome.is_error, ended)
        self._observe(Called(row.key, call.name, outcome.result, outcome.is_error, row.stage))
        return ToolCallRecord(position, call.id, call.name, ended, outcome.result, outcome.is_error)
