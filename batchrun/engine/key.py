"""Whether the service accepts the key itself: a 403 may be about a model or one id, and this call is about neither."""

from __future__ import annotations

import asyncio

from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Reply
from batchrun.interactions.models import ApiError

#: Seconds before each try; a service that cannot be reached tells nothing about a key.
_PAUSES = (0.0, 2.0, 8.0)
#: So many seconds one answer is good for: rows that ask together get the same.
_GOOD_FOR = 60.0


class KeyProbe:
    """Asks for the list of models, which any valid key may read. It costs nothing."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asking = asyncio.Lock()
        self._accepted_at = float("-inf")

    async def accepted(self) -> bool | None:
        """True or False as the service says, None where it does not."""
        async with self._asking:
            now = asyncio.get_running_loop().time
            if now() < self._accepted_at + _GOOD_FOR:
                return True
            said = await self._ask()
            if said:
                self._accepted_at = now()
            return said

    async def _ask(self) -> bool | None:
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            call = await self._client.models()
            if isinstance(call, Reply) and (said := _of(call)) is not None:
                return said
        return None


def _of(reply: Reply) -> bool | None:
    if reply.ok:
        return True
    error = ApiError.parse(reply.body)
    if error is None:
        return None
    if reply.status in (401, 403) or error.about_key:
        return False
    return True if reply.status == 404 else None
