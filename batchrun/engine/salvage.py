"""The id of an interaction in what came of a broken answer, or in what a webhook said: believed once the service
vouches for it.

Only an interaction that bears the label of the very POST is that POST's. Looking costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from batchrun.engine.attempt import Attempt
from batchrun.engine.means import Means
from batchrun.engine.pace import Pace
from batchrun.interactions.evidence import INTENT_LABEL, Reply, ids_in
from batchrun.interactions.models import Interaction
from batchrun.store.records import AttemptState

#: Seconds before each look: the service may not know a new interaction yet.
_PAUSES = (0.0, 2.0, 10.0, 30.0)


class Salvage:
    """Turns POSTs of unknown fate into submitted ones where what came of the answer, or a hint within `wait` seconds,
    allows it. It looks at the `pace` of polls."""

    def __init__(self, means: Means, pace: Pace, wait: float) -> None:
        self._store, self._client, self._hints, self._pace, self._wait = (
            means.store, means.client, means.hints, pace, wait
        )  # fmt: skip

    async def submitted(self, attempt: Attempt) -> bool:
        """True if the interaction was found: then the attempt has its id, durably."""
        tried = ids_in(attempt.reply)
        if await self._found(attempt, tried):
            return True
        clock = asyncio.get_running_loop().time
        until = clock() + self._wait
        while (name := await self._hints.id_of(attempt.intent_key, tried, until - clock())) is not None:
            if await self._found(attempt, [name]):
                return True
            tried = [*tried, name]
        return False

    async def _found(self, attempt: Attempt, candidates: Sequence[str]) -> bool:
        for pause in _PAUSES if candidates else ():
            await asyncio.sleep(pause)
            for name in candidates:
                if await self._made_by(attempt, name):
                    await self._store.submitted(attempt.id, name, attempt.submitted_at)
                    attempt.state, attempt.interaction_id = AttemptState.SUBMITTED, name
                    return True
        return False

    async def _made_by(self, attempt: Attempt, name: str) -> bool:
        lease = await self._pace.start()
        call = await self._client.get(name)
        shown = Interaction.parse(call.body) if isinstance(call, Reply) and call.ok else None
        if shown is None:
            lease.give_back()
        else:
            lease.accepted()
        return shown is not None and shown.label(INTENT_LABEL) == attempt.intent_key
