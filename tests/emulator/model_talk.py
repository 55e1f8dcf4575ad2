"""Interactions on an emulator whose answers come from a fake model server, and what that server was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from batchrun.emulator import Emulator, EmulatorSettings, load_replies
from tests.emulator.in_process import URL, body, talk
from tests.emulator.model_server import Answering, Request, model_server

Conversation = Callable[[httpx.AsyncClient, Emulator], Awaitable[Any]]


def conversed(answering: Answering, conversation: Conversation, options: str = "", **settings: Any) -> list[Request]:
    """What the model server was asked in a conversation with the emulator."""
    with model_server(answering) as server:
        replies = load_replies(f"openai:{server.url}{options}")
        talk(EmulatorSettings(replies=replies, **settings), conversation)
        return server.requests


def asked(answering: Answering, options: str = "", **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A foreground interaction, and what the model server was asked for it."""
    answers: list[dict[str, Any]] = []

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        answer = await client.post(URL, json=body(background=None, **fields))
        assert answer.status_code == 200, answer.text
        answers.append(answer.json())

    requests = conversed(answering, conversation, options)
    return answers[0], requests[0]


async def polled(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    while True:
        interaction: dict[str, Any] = (await client.get(f"{URL}/{name}")).json()
        if interaction["status"] != "in_progress":
            return interaction
        await asyncio.sleep(0.005)
