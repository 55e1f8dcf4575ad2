"""The stream of an interaction, which a cancel ends at once."""

from __future__ import annotations

from dataclasses import replace

from batchrun.emulator import sse
from batchrun.emulator.answers import Answer, Headers
from batchrun.emulator.service import Service
from batchrun.emulator.storage import Kept


def stream_of(service: Service, kept: Kept, now: float, headers: Headers = (), after: str = "") -> Answer:
    """All events after the one with the id `after`, as they happen."""
    answer = sse.stream(kept, now, headers, after)
    if not kept.background or not kept.running(now):
        return answer

    async def ended(seconds: float) -> bytes | None:
        if not await service.endings.within(kept.id, seconds):
            return None
        found = service.store.find(kept.id)
        return b"" if found is None else sse.closing_events(found, after)

    return replace(answer, ended=ended)
