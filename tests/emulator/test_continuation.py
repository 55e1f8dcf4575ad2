"""Long answers in hops: a foreground call over the decode limit stops with a token and can be continued."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from batchrun.emulator import Emulator, EmulatorSettings
from tests.emulator.in_process import URL, body, finished, post, talk, text_of

LIMITED = EmulatorSettings(decode_limit=20)


async def hops(client: httpx.AsyncClient, **fields: Any) -> list[dict[str, Any]]:
    """Continues until the answer is complete."""
    asked = body(background=None, **fields)
    turns = [(await client.post(URL, json=asked)).json()]
    while turns[-1]["status"] == "requires_continuation":
        following = {**asked, "continuation_token": turns[-1]["continuation_token"]}
        if fields.get("store") is not False:
            following = {**following, "previous_interaction_id": turns[-1]["id"], "input": None}
        answer = await client.post(URL, json=following)
        assert answer.status_code == 200, answer.text
        turns.append(answer.json())
    return turns


@pytest.mark.parametrize("store", [None, False])
def test_the_hops_make_up_the_whole_answer(store: bool | None) -> None:
    turns = talk(LIMITED, lambda client, emulator: hops(client, store=store))
    assert len(turns) > 2
    assert turns[-1]["status"] == "completed"
    assert "".join(text_of(turn) for turn in turns) == text_of(finished())
    assert len({turn["id"] for turn in turns}) == len(turns)
    assert len({turn.get("continuation_token") for turn in turns}) == len(turns)
    assert [step["type"] for turn in turns[1:] for step in turn["steps"]] == ["model_output"] * (len(turns) - 1)


def test_every_hop_reads_and_bills_what_was_told_before() -> None:
    turns = talk(LIMITED, lambda client, emulator: hops(client))
    usages = [turn["usage"] for turn in turns]
    assert {usage["initial_input_tokens"] for usage in usages} == {8}
    assert [usage["total_input_tokens"] for usage in usages] == [8 + 20 * number for number in range(len(turns))]
    for usage in usages:
        parts = ("total_input_tokens", "total_output_tokens", "total_thought_tokens")
        assert usage["total_tokens"] == sum(usage[part] for part in parts)


def test_a_hop_names_the_one_before_it() -> None:
    turns = talk(LIMITED, lambda client, emulator: hops(client))
    assert "previous_interaction_id" not in turns[0]
    assert [turn["previous_interaction_id"] for turn in turns[1:]] == [turn["id"] for turn in turns[:-1]]


def test_a_continued_turn_of_a_chain_keeps_its_history() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        first = (await client.post(URL, json=body(input="Hello"))).json()
        turns = await hops(client, previous_interaction_id=first["id"])
        return [first, "".join(map(text_of, turns))]

    async def unlimited(client: httpx.AsyncClient, emulator: Emulator) -> Any:
        first = (await client.post(URL, json=body(input="Hello"))).json()
        return (await client.post(URL, json=body(background=None, previous_interaction_id=first["id"]))).json()

    _, told = talk(LIMITED, conversation)
    assert told == text_of(talk(EmulatorSettings(), unlimited))


def test_background_calls_need_no_continuation() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> str:
        name = (await client.post(URL, json=body())).json()["id"]
        return str((await client.get(f"{URL}/{name}")).json()["status"])

    assert talk(LIMITED, conversation) == "completed"


def test_a_stream_ends_with_the_token() -> None:
    answer = post(LIMITED, background=None, stream=True)
    assert '"status":"requires_continuation"' in answer.text
    assert '"continuation_token":"' in answer.text


@pytest.mark.parametrize(
    "change",
    [
        {"continuation_token": "bm9uc2Vuc2U"},
        {"continuation_token": "ä"},
        {"previous_interaction_id": None},
        {"system_instruction": "Something else."},
        {"input": "Another question", "previous_interaction_id": None},
    ],
)
def test_a_token_belongs_to_its_request(change: dict[str, Any]) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> httpx.Response:
        first = (await client.post(URL, json=body(background=None))).json()
        token = first["continuation_token"]
        asked = body(background=None, input=None, previous_interaction_id=first["id"], continuation_token=token)
        return await client.post(URL, json={**asked, **change})

    answer = talk(LIMITED, conversation)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


def test_a_token_does_not_work_with_another_hop() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> int:
        first, other = [(await client.post(URL, json=body(background=None, input=text))).json() for text in "ab"]
        asked = {"model": "gemini-3.5-flash", "previous_interaction_id": other["id"]}
        token = first["continuation_token"]
        return (await client.post(URL, json={**asked, "continuation_token": token})).status_code

    assert talk(LIMITED, conversation) == 400
