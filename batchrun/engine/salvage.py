"""The id of an interaction in what came of a broken answer: believed once the service vouches for it.

Only an interaction that bears the label of the very POST is that POST's. Looking costs nothing.
"""

from __future__ import annotations

import asyncio

from batchrun.engine.attempt import Attempt
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import INTENT_LABEL, Reply, ids_in
from batchrun.interactions.models import Interaction
from batchrun.store.records import AttemptState
from batchrun.store.store import Store

#: Seconds before each look: the service may not know a new interaction yet.
_PAUSES = (0.0, 2.0, 10.0, 30.0)


class Salvage:
    """Turns POSTs of unknown fate into submitted ones where what came of the answer allows it."""

    def __init__(self, store: Store, client: Client) -> None:
        self._store, self._client = store, client

    async def submitted(self, attempt: Attempt) -> bool:
        """True if the interaction was found: then the attempt has its id, durably."""
        candidates = ids_in(attempt.reply)
        for pause in _PAUSES if candidates else ():
            await asyncio.sleep(pause)
            for name in candidates:
                if await self._made_by(attempt, name):
                    await self._store.submitted(attempt.id, name, attempt.submitted_at)
                    attempt.state, attempt.interaction_id = AttemptState.SUBMITTED, name
                    return True
        return False

    async def _made_by(self, attempt: Attempt, name: str) -> bool:
        call = await self._client.get(name)
        shown = Interaction.parse(call.body) if isinstance(call, Reply) and call.ok else None
        return shown is not None and shown.label(INTENT_LABEL) == attempt.intent_key
