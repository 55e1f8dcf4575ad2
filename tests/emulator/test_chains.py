"""What a chain carries on and what belongs to one turn; retention; the service tier that is really served."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from batchrun.emulator import Emulator, EmulatorSettings, load_faults, parse_latency
from tests.emulator.in_process import URL, Clock, body, json_format, talk, text_of
from tests.emulator.media_files import block, picture

DAY = 86_400


async def _turns(client: httpx.AsyncClient, first: dict[str, Any], second: dict[str, Any]) -> Any:
    before = (await client.post(URL, json=body(background=None, **first))).json()
    return (await client.post(URL, json=body(background=None, previous_interaction_id=before["id"], **second))).json()


def test_a_response_format_holds_for_one_turn() -> None:
    schema = {"type": "object", "properties": {"paws": {"type": "integer"}}, "required": ["paws"]}
    asked = {"response_format": json_format(schema)}
    after = talk(EmulatorSettings(), lambda client, emulator: _turns(client, asked, {}))
    with pytest.raises(json.JSONDecodeError):
        json.loads(text_of(after))


def test_server_tools_hold_for_one_turn() -> None:
    asked = {"tools": [{"type": "google_search"}]}
    after = talk(EmulatorSettings(), lambda client, emulator: _turns(client, asked, {}))
    assert [step["type"] for step in after["steps"]] == ["thought", "model_output"]


def test_a_system_instruction_holds_for_one_turn() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        told = {"system_instruction": "Be brief. " * 50}
        plain, again = await _turns(client, {}, {}), await _turns(client, {}, told)
        return [plain["usage"]["total_input_tokens"], again["usage"]["total_input_tokens"]]

    plain, again = talk(EmulatorSettings(), conversation)
    assert again - plain == 125


def test_what_a_chain_carries_on_is_counted_by_modality() -> None:
    image = block("image", "image/png", picture(100, 100))
    after = talk(EmulatorSettings(), lambda client, emulator: _turns(client, {"input": [image]}, {}))
    usage = after["usage"]
    cached = {entry["modality"]: entry["tokens"] for entry in usage["cached_tokens_by_modality"]}
    inputs = {entry["modality"]: entry["tokens"] for entry in usage["input_tokens_by_modality"]}
    assert cached["image"] == inputs["image"] == 258
    assert sum(cached.values()) == usage["total_cached_tokens"]
    assert sum(inputs.values()) == usage["total_input_tokens"]
    assert inputs["text"] - cached["text"] == len(body()["input"]) // 4 + 1


def test_labels_are_not_carried_on() -> None:
    after = talk(EmulatorSettings(), lambda client, emulator: _turns(client, {"labels": {"row": "1"}}, {}))
    assert "labels" not in after


@pytest.mark.parametrize(("days", "statuses"), [(1, [200, 404, 404]), (55, [200, 200, 200])])
def test_interactions_are_gone_after_their_retention(days: int, statuses: list[int]) -> None:
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        name = (await client.post(URL, json=body())).json()["id"]
        found = [(await client.get(f"{URL}/{name}")).status_code]
        clock.now += DAY
        found.append((await client.get(f"{URL}/{name}")).status_code)
        found.append((await client.post(URL, json=body(previous_interaction_id=name))).status_code)
        return found

    assert talk(EmulatorSettings(clock=clock, retention=days * DAY), conversation) == statuses


def _kept(emulator: Emulator) -> int:
    return int(emulator.service.store.connection.execute("SELECT count(*) FROM interactions").fetchone()[0])


def test_what_is_past_its_retention_does_not_fill_the_memory() -> None:
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        kept = []
        for _ in range(3):
            for number in range(256):
                await client.post(URL, json=body(input=f"Question {number}"))
            kept.append(_kept(emulator))
            clock.now += 2 * DAY
        return kept

    settings = EmulatorSettings(clock=clock, retention=DAY, faults=load_faults("stuck:#1,late_usage=1s"))
    assert talk(settings, conversation) == [256, 257, 257]


def test_an_interaction_that_still_runs_is_not_gone() -> None:
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> int:
        name = (await client.post(URL, json=body())).json()["id"]
        clock.now += 2 * DAY
        return (await client.get(f"{URL}/{name}")).status_code

    settings = EmulatorSettings(clock=clock, retention=DAY, latency=parse_latency("100h"))
    assert talk(settings, conversation) == 200


def test_priority_over_its_limit_is_served_as_standard() -> None:
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        answers = [await client.post(URL, json=body(service_tier="priority")) for _ in range(4)]
        clock.now += 61
        answers.append(await client.post(URL, json=body(service_tier="priority")))
        return [(answer.headers["x-gemini-service-tier"], answer.json()["service_tier"]) for answer in answers]

    served = talk(EmulatorSettings(rpm=10, clock=clock), conversation)
    assert served == [("priority", "priority")] * 3 + [("standard", "standard")] + [("priority", "priority")]
