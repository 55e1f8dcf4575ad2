"""The clock of a served emulator can be put forward, so that a day passes in a test of any language."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from batchrun.emulator import Emulator, EmulatorSettings, MovableClock, load_faults
from tests.emulator.in_process import URL, Clock, body, talk

CLOCK = "/emulator/clock"


def test_a_clock_can_be_put_forward() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        name = (await client.post(URL, json=body())).json()["id"]
        seen = [(await client.get(f"{URL}/{name}")).status_code]
        seen.append((await client.post(CLOCK, json={"advance": 86_400})).json()["now"])
        seen.append((await client.get(CLOCK)).json()["now"])
        seen.append((await client.get(f"{URL}/{name}")).status_code)
        return seen

    settings = EmulatorSettings(faults=load_faults("expired=1h"), clock=MovableClock(Clock(1000.0)))
    assert talk(settings, conversation) == [200, 87_400, 87_400, 404]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"advance": -1}', b'{"advance": true}', b'{"advance": 1e999}'])
def test_a_clock_only_goes_forward(content: bytes) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> int:
        return (await client.post(CLOCK, content=content)).status_code

    assert talk(EmulatorSettings(clock=MovableClock(Clock())), conversation) == 400


def test_another_clock_cannot_be_moved() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> int:
        return (await client.post(CLOCK, json={"advance": 1})).status_code

    assert talk(EmulatorSettings(clock=Clock()), conversation) == 404
