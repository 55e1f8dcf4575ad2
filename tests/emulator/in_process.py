"""An emulator and a client on it without a socket, and requests that are right unless a test says otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from batchrun.emulator import Emulator, EmulatorSettings

KEY = {"x-goog-api-key": "a-key"}
URL = "/v1beta/interactions"


class Clock:
    """Unix seconds that only a test moves."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def talk(settings: EmulatorSettings, conversation: Callable[[httpx.AsyncClient, Emulator], Awaitable[Any]]) -> Any:
    """Run a conversation with a fresh emulator; what it returns is returned."""

    async def run() -> Any:
        emulator = Emulator(settings)
        transport = httpx.ASGITransport(app=emulator.app)
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://emulator", headers=KEY) as client:
                return await conversation(client, emulator)
        finally:
            emulator.close()

    return asyncio.run(run())


def body(**fields: Any) -> dict[str, Any]:
    """A create request; a field that is set to None is left out."""
    request = {"model": "gemini-3.5-flash", "input": "How many paws are in my house?", "background": True, **fields}
    return {name: value for name, value in request.items() if value is not None}


def post(settings: EmulatorSettings | None = None, **fields: Any) -> httpx.Response:
    """The answer to one create."""

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> httpx.Response:
        return await client.post(URL, json=body(**fields))

    answer: httpx.Response = talk(settings or EmulatorSettings(), conversation)
    return answer


def finished(settings: EmulatorSettings | None = None, **fields: Any) -> dict[str, Any]:
    """The interaction that a foreground create answers."""
    answer = post(settings, background=None, **fields)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def text_of(interaction: dict[str, Any]) -> str:
    texts = [block["text"] for step in interaction["steps"] for block in step.get("content", ())]
    return "".join(texts)


def json_format(schema: Any) -> dict[str, Any]:
    return {"type": "text", "mime_type": "application/json", "schema": schema}
