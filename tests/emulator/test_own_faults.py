"""A request carries its own fault in a label: for its create, for its cancel, with or without a duration."""

from __future__ import annotations

import math
from typing import Any

import httpx
import pytest

from batchrun.emulator import FAULTS, Emulator, EmulatorSettings, load_faults, parse_latency
from batchrun.emulator.faults import Rule, fault_named
from tests.emulator.in_process import URL, Clock, body, post, talk

LASTING = EmulatorSettings(latency=parse_latency("20s"), clock=Clock())


def labelled(fault: str, **fields: Any) -> httpx.Response:
    return post(labels={"emulate-fault": fault}, **fields)


@pytest.mark.parametrize(
    ("label", "rule"),
    [
        ("stuck", Rule("stuck")),
        ("slow", Rule("slow")),
        ("slow-2s", Rule("slow", seconds=2.0)),
        ("404_after_create-inf", Rule("404_after_create", seconds=math.inf)),
        ("lost_answer", Rule("drop_after")),
        ("499_on_cancel", Rule("499_on_cancel", on="cancel")),
        ("stuck-2s", None),
        ("slow-", None),
        ("slow-soon", None),
        ("sloww", None),
        ("", None),
        (7, None),
    ],
)
def test_a_label_names_a_fault_and_how_long_it_lasts(label: object, rule: Rule | None) -> None:
    assert fault_named(label) == rule


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_can_be_asked_for_in_a_label(name: str) -> None:
    assert fault_named(name) is not None


@pytest.mark.parametrize("label", ["sloww", "stuck-2s", ""])
def test_a_label_that_is_no_fault_is_refused(label: str) -> None:
    answer = labelled(label)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert "batchrun emulator faults" in answer.json()["error"]["message"]


async def cancelled(client: httpx.AsyncClient, **labels: str) -> list[Any]:
    name = (await client.post(URL, json=body(labels=labels))).json()["id"]
    answer = await client.post(f"{URL}/{name}/cancel")
    return [answer.status_code, (await client.get(f"{URL}/{name}")).json()["status"]]


def test_a_fault_of_the_cancel_belongs_to_the_request_that_was_labelled() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        return [await cancelled(client, **{"emulate-fault": "499_on_cancel"}), await cancelled(client, row="1")]

    assert talk(LASTING, conversation) == [[499, "cancelled"], [200, "cancelled"]]


def test_a_rule_for_polls_can_choose_them_by_label() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        names = [(await client.post(URL, json=body(labels={"case": case}))).json()["id"] for case in ("a", "b")]
        return [(await client.get(f"{URL}/{name}")).status_code for name in names]

    assert talk(EmulatorSettings(faults=load_faults("get/503@case=a")), conversation) == [503, 200]


@pytest.mark.parametrize("path", ["/v1/files", "/v1beta/models", "/v1/webhooks"])
def test_a_revoked_key_is_refused_by_every_resource(path: str) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        before = await client.get(path)
        await client.post(URL, json=body(labels={"emulate-fault": "key_revoked"}))
        upload = await client.post("/upload/v1/files", headers={"x-goog-upload-command": "start"})
        return [before.status_code, (await client.get(path)).status_code, upload.status_code]

    assert talk(EmulatorSettings(), conversation) == [200, 403, 403]
