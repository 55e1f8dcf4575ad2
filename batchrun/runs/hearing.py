"""The webhooks of a run: who may send them, where they come in, and whom they are told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from batchrun import environment
from batchrun.engine.events import Listening, Observer, WebhooksCame
from batchrun.engine.hints import Hints
from batchrun.errors import SpecError
from batchrun.interactions.addresses import LOOPBACK, is_plain
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Reply
from batchrun.webhooks.message import Event
from batchrun.webhooks.receiver import Receiver, Tally
from batchrun.webhooks.standard import Secrets, secrets_of
from batchrun.webhooks.tokens import Keys, require_library

#: Brings what comes in to a receiver while a block runs; gives the address at which that is.
Door = Callable[[Receiver], AbstractAsyncContextManager[str]]
_KEYS = "/.well-known/jwks.json"


@dataclass(frozen=True)
class Webhooks:
    """How a run hears webhooks. `secrets` prove those of the project; `uri` is the public address that each request is
    to name, empty for none."""

    door: Door
    secrets: Secrets
    uri: str = ""


def webhooks_of(place: str, uri: str = "") -> Webhooks:
    """The webhooks of a run that listens at a place. Raises SpecError for what could prove nothing, or cannot be."""
    from batchrun.webhooks.listener import listening, place_of

    if uri and not is_public_uri(uri):
        raise SpecError("--webhook-uri: write https://HOST/PATH, the address at which the service reaches you.")
    secrets = secrets_of(environment.value_of(environment.WEBHOOK_SECRET))
    if secrets is None:
        raise SpecError(
            f"{environment.WEBHOOK_SECRET} is no signing secret: whsec_ and base64, as the service showed it once; "
            "several are separated by spaces or commas."
        )
    if not secrets and not uri:
        raise SpecError(
            f"--webhook: nothing that came could be proved. Set {environment.WEBHOOK_SECRET} to the secret of the "
            "project's webhook, or name your public address with --webhook-uri."
        )
    if uri:
        require_library()
    where = place_of(place, uri)
    return Webhooks(lambda receiver: listening(where, receiver), secrets, uri)


def is_public_uri(uri: str) -> bool:
    """Whether requests may name this address: https, or http on this machine for an emulator."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    return safe and bool(parts.hostname) and is_plain(uri) and parts.username is None and not parts.fragment


@asynccontextmanager
async def hearing(
    webhooks: Webhooks | None, hints: Hints, client: Client, wall: Callable[[], float], observe: Observer
) -> AsyncIterator[None]:
    """Hear webhooks while the block runs; none without `webhooks`. Raises SpecError where that cannot be."""
    if webhooks is None:
        yield
        return
    keys = Keys(lambda: _fetch_keys(client)) if webhooks.uri else None

    def refused(tally: Tally) -> None:
        if tally.refused == 1:
            observe(_came(tally))

    receiver = Receiver(webhooks.secrets, keys, webhooks.uri, wall, lambda event: _pass_on(hints, event), refused)
    try:
        async with webhooks.door(receiver) as address:
            hints.listening = True
            observe(Listening(address))
            yield
    finally:
        observe(_came(receiver.tally))


def _came(tally: Tally) -> WebhooksCame:
    return WebhooksCame(tally.events, tally.repeated, tally.refused)


def _pass_on(hints: Hints, event: Event) -> None:
    hints.hear(event.interaction_id, event.intent_key)


async def _fetch_keys(client: Client) -> bytes | None:
    """The service's public keys. Our own key does not go along."""
    call = await client.beside("GET", f"{client.base_url}{_KEYS}", {"accept": "application/json"}, keyed=False)
    return call.body if isinstance(call, Reply) and call.ok else None
