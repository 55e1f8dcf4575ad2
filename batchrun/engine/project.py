"""Whether a key is of the project that a run's earlier interactions belong to: found out before anything is sent.

Keys change within a project, so another key is only a reason to look. A key of another project sees none of them.
"""

from __future__ import annotations

from batchrun.engine import polling
from batchrun.engine.means import Means
from batchrun.errors import CredentialError
from batchrun.store.records import AttemptRecord

#: So many earlier interactions, or all where there are fewer, must be unknown before the key is doubted.
ENOUGH = 5
_META = "key"


class Project:
    """Remembers a fingerprint of the key that a run was made with, and looks twice when it is another one."""

    def __init__(self, means: Means, *, run_id: str, retention: float) -> None:
        self._store, self._reader, self._client, self._wall = means.store, means.reader, means.client, means.wall
        self._print, self._retention = means.client.fingerprint(run_id.encode()), retention

    async def check(self) -> bool:
        """Whether the key is the one that the run was made with.

        Raises CredentialError if it is a new one and the service knows none of the earlier interactions.
        """
        known = self._store.meta(_META)
        if known == self._print:
            return True
        if known is not None:
            await self._look()
        self._store.set_meta(**{_META: self._print})
        return known is None

    async def _look(self) -> None:
        since = self._wall() - self._retention
        earlier = self._reader.newest_in_flight(since, ENOUGH)
        for attempt in earlier:
            if not isinstance(await self._poll(attempt), polling.NotFound):
                return
        if earlier:
            raise CredentialError(
                f"The service knows none of {len(earlier)} interactions that an earlier run submitted with another API "
                "key: is this another project's key? Nothing was sent or given up. Set the key that the run was begun "
                "with; if the interactions are really gone, see `batchrun resolve`."
            )

    async def _poll(self, attempt: AttemptRecord) -> polling.Poll:
        name = attempt.interaction_id or ""
        return polling.of_poll(await self._client.get(name), name, self._wall(), attempt.intent_key)
