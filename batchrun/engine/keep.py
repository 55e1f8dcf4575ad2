"""Makes an answer durable: its raw bytes and usage before anybody judges it."""

from __future__ import annotations

from collections.abc import Callable

from batchrun.engine.attempt import Attempt
from batchrun.engine.events import Landed, Observer
from batchrun.engine.limits import Lease
from batchrun.interactions.evidence import Answer
from batchrun.rows import Finish
from batchrun.store.records import RowRecord
from batchrun.store.store import Store

#: A count beyond this is a mistake of the server's, not a usage.
_MOST_TOKENS = 10**9


class Keeper:
    """Keeps answers. `settle` is told the real input tokens of each."""

    def __init__(
        self, store: Store, wall: Callable[[], float], observe: Observer, settle: Callable[[Lease, int], None]
    ) -> None:
        self._store, self._wall, self._observe, self._settle = store, wall, observe, settle

    async def keep(self, row: RowRecord, attempt: Attempt, found: Answer, end: Finish | None = None) -> None:
        """Commit the answer. `end` ends the row whatever the answer says."""
        answer = found.interaction
        await self._store.fetched(
            attempt.id,
            found.raw,
            self._wall(),
            status=answer.status,
            model=answer.model,
            tier=answer.service_tier,
            usage=answer.usage,
            polls=attempt.polls,
            interaction_id=answer.id or "",
            row_end=None if end is None else (row.id, end),
        )
        self._account(row, attempt, answer.usage or {})

    def _account(self, row: RowRecord, attempt: Attempt, usage: dict[str, object]) -> None:
        spent, total = usage.get("total_input_tokens"), usage.get("total_tokens")
        if attempt.lease is not None and isinstance(spent, int) and 0 <= spent < _MOST_TOKENS:
            self._settle(attempt.lease, spent)
        known = isinstance(total, int) and 0 <= total < _MOST_TOKENS
        self._observe(Landed(row.key, total if known and isinstance(total, int) else None))
