"""Sends the messages that are due. Only to this machine: an emulator must not call strangers."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import httpx

from batchrun.emulator.hooks.keys import key_of
from batchrun.emulator.hooks.outbox import Message
from batchrun.emulator.hooks.signing import standard_signature, token
from batchrun.emulator.service import Service

_PAUSE = 0.2
_TIMEOUT = 10.0


async def send_due(service: Service, client: httpx.AsyncClient) -> int:
    """Send what is due now; how many messages were taken."""
    messages = service.hooks.outbox.due(service.settings.clock())
    await asyncio.gather(*(_send(service, client, message) for message in messages))
    return len(messages)


async def keep_sending(service: Service) -> None:
    """Send messages as they become due, until cancelled."""
    while True:
        if service.hooks.outbox.due(service.settings.clock(), most=1):
            async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as client:
                await send_due(service, client)
        await asyncio.sleep(_PAUSE)


async def _send(service: Service, client: httpx.AsyncClient, message: Message) -> None:
    now = service.settings.clock()
    headers = headers_of(service, message, now) if is_loopback(message.uri) else None
    if headers is None:
        service.hooks.outbox.settle(message, "not sent")
        return
    try:
        answer = await client.post(message.uri, content=message.body(), headers=headers)
        heard = answer.is_success
    except (httpx.HTTPError, httpx.InvalidURL):
        heard = False
    if heard:
        service.hooks.outbox.settle(message, "delivered")
    elif not service.hooks.outbox.try_again(message, service.settings.clock()):
        _disable(service, message.hook)


def headers_of(service: Service, message: Message, now: float) -> dict[str, str] | None:
    """The headers that a message carries now; None if its webhook is gone or switched off."""
    headers = {"content-type": "application/json", "webhook-id": message.id, "webhook-timestamp": str(int(now))}
    if not message.hook:
        key = key_of(service.settings.seed)
        return {**headers, "webhook-signature": token(key, message.uri, message.id, int(now), message.body())}
    hook = service.hooks.table.get(message.hook)
    if hook is None or hook["state"] != "enabled":
        return None
    secrets = [one["secret"] for one in hook["secrets"] if one["expires"] is None or now < one["expires"]]
    return {**headers, "webhook-signature": standard_signature(secrets, message.id, int(now), message.body())}


def is_loopback(uri: str) -> bool:
    try:
        host = urlsplit(uri).hostname or ""
    except ValueError:
        return False
    return host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdigit())


def _disable(service: Service, name: str) -> None:
    hook = service.hooks.table.get(name) if name else None
    if hook is not None:
        service.hooks.table.put(name, {**hook, "state": "disabled_due_to_failed_deliveries"})
        service.hooks.reload()
