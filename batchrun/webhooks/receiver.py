"""From a request to a hint: who sent it is proved, when is checked, and what came before is dropped. No sockets."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from batchrun.interactions.models import parse_json
from batchrun.webhooks.message import Event, Message, event_of, message_of
from batchrun.webhooks.standard import Secrets
from batchrun.webhooks.tokens import Keys, Unknown, claims_of

#: So many ids of messages are remembered. Older ones are harmless: an event is only a hint.
_REMEMBERED = 10_000
_LONGEST_NAME = 256


@dataclass(slots=True)
class Tally:
    """What has come: events that were new, those that came again, and what was refused."""

    events: int = 0
    repeated: int = 0
    refused: int = 0


class Receiver:
    """Takes messages. `secrets` prove those of static webhooks, `keys` those to `uri`, the address that requests name;
    None where none does. `wall` gives Unix time; `hear` is told each event once, `refused` of each that is."""

    def __init__(
        self,
        secrets: Secrets,
        keys: Keys | None,
        uri: str,
        wall: Callable[[], float],
        hear: Callable[[Event], None],
        refused: Callable[[Tally], None] = lambda _tally: None,
    ) -> None:
        self.tally = Tally()
        self._secrets, self._keys, self._uri, self._wall, self._hear = secrets, keys, uri, wall, hear
        self._refused = refused
        self._known: OrderedDict[str, None] = OrderedDict()

    async def take(self, headers: Mapping[str, str], body: bytes) -> HTTPStatus:
        """The answer to a request, which does not say what is wrong with it. Names of `headers` are lower case."""
        message = message_of(headers, body)
        try:
            proved = await self._proved(message) if message is not None else None
        except Unknown:
            return HTTPStatus.SERVICE_UNAVAILABLE  # the service sends it again
        if proved is None:
            self.tally.refused += 1
            self._refused(self.tally)
            return HTTPStatus.UNAUTHORIZED
        self._pass_on(*proved)
        return HTTPStatus.OK

    async def _proved(self, message: Message) -> tuple[str, Any] | None:
        """What the service did send just now: by which name it is to be known, and what it says. Raises Unknown."""
        now = self._wall()
        if not message.in_time(now):
            return None
        if message.signature.startswith("v1"):
            return (message.id, parse_json(message.body)) if self._secrets.signed(message) else None
        claims = None if self._keys is None else await claims_of(message, self._keys, self._uri, now)
        if claims is None:
            return None
        said = claims if "data" in claims else parse_json(message.body)  # what is signed goes before what is not
        return str(claims.get("jti") or message.id)[:_LONGEST_NAME], said

    def _pass_on(self, name: str, said: Any) -> None:
        if name in self._known:
            self.tally.repeated += 1
            return
        self._known[name] = None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        if (event := event_of(said)) is not None:
            self.tally.events += 1
            self._hear(event)
