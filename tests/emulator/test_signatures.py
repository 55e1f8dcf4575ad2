"""Signatures of steps that come back: the emulator's own must fit their steps, others are refused by default."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchrun.emulator import Emulator, EmulatorSettings, load_replies
from tests.emulator.in_process import URL, body, talk

USER = {"type": "user_input", "content": "Who won the euro 2024?"}
MORE = {"type": "user_input", "content": "And before?"}
FOREIGN = b64encode(b"made by the service itself").decode()
SEARCH = [{"type": "google_search"}]
Change = Any


def replayed(change: Change, settings: EmulatorSettings | None = None, **fields: Any) -> httpx.Response:
    """The answer to a stateless second turn whose model steps went through `change`."""
    asked = body(background=None, store=False, input=[USER], **fields)

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> httpx.Response:
        steps = (await client.post(URL, json=asked)).json()["steps"]
        return await client.post(URL, json={**asked, "input": [USER, *change(steps), MORE]})

    answer: httpx.Response = talk(settings or EmulatorSettings(), conversation)
    return answer


def signed(kind: str, signature: Any) -> Change:
    """Gives the first step of a type another signature."""

    def change(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        at = next(index for index, step in enumerate(steps) if step["type"] == kind)
        new = signature(steps[at]["signature"]) if callable(signature) else signature
        return [*steps[:at], {**steps[at], "signature": new}, *steps[at + 1 :]]

    return change


def refused(answer: httpx.Response) -> str:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "invalid_request")
    return str(error["message"])


@pytest.mark.parametrize("fields", [{}, {"tools": SEARCH}, {"generation_config": {"thinking_summaries": "auto"}}])
def test_steps_that_come_back_untouched_are_taken(fields: dict[str, Any]) -> None:
    assert replayed(lambda steps: steps, **fields).status_code == 200


@pytest.mark.parametrize("kind", ["thought", "google_search_call", "google_search_result"])
def test_a_signature_that_no_emulator_made_is_refused(kind: str) -> None:
    assert "signature" in refused(replayed(signed(kind, FOREIGN), tools=SEARCH))


@pytest.mark.parametrize("at", range(76))
def test_a_signature_with_any_character_changed_is_refused(at: int) -> None:
    def changed(signature: str) -> str:
        return signature[:at] + ("A" if signature[at] != "A" else "B") + signature[at + 1 :]

    assert "input[1].signature" in refused(replayed(signed("thought", changed)))


def test_a_signature_of_another_step_is_refused() -> None:
    def exchanged(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return signed("google_search_call", steps[2]["signature"])(steps)

    refused(replayed(exchanged, tools=SEARCH))


@pytest.mark.parametrize("signature", [7, ["x"], {}, ""])
def test_a_signature_is_a_text(signature: Any) -> None:
    assert replayed(signed("google_search_call", signature), tools=SEARCH).status_code == 400


def test_foreign_signatures_can_be_allowed() -> None:
    allowed = EmulatorSettings(foreign_signatures=True)
    assert replayed(signed("thought", FOREIGN), allowed).status_code == 200


def test_its_own_signatures_are_checked_even_where_foreign_ones_are_allowed() -> None:
    allowed = EmulatorSettings(foreign_signatures=True)
    refused(replayed(signed("thought", lambda own: own[:-2] + "AA"), allowed))


def test_what_a_script_has_recorded_comes_back_with_its_signatures(tmp_path: Path) -> None:
    recorded = [
        {"type": "thought", "signature": FOREIGN},
        {"type": "function_call", "id": "c", "name": "look", "arguments": {}},
    ]
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps({"steps": recorded}))
    settings = EmulatorSettings(replies=load_replies(f"script:{script}"))
    result = {"type": "function_result", "call_id": "c", "result": "x"}
    assert replayed(lambda steps: [*steps, result], settings).status_code == 200


def test_a_scripted_call_without_a_thought_may_come_back(tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps({"steps": [{"type": "function_call", "id": "c", "name": "look", "arguments": {}}]}))
    asked = body(background=None, store=False, input=[USER])

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> httpx.Response:
        steps = (await client.post(URL, json=asked)).json()["steps"]
        result = {"type": "function_result", "call_id": "c", "result": "x"}
        return await client.post(URL, json={**asked, "input": [USER, *steps, result]})

    settings = EmulatorSettings(replies=load_replies(f"script:{script}"))
    assert talk(settings, conversation).status_code == 200
