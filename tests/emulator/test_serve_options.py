"""`batchrun emulator` and `batchrun run --emulator` take replies, limits and faults from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchrun.emulator import FAULTS
from tests.emulator.in_process import KEY, URL, body
from tests.emulator.model_server import completion, model_server
from tests.processes import command, emulator, write_job


@pytest.mark.parametrize(
    "option", [("--rpm", "1"), ("--tpm", "15"), ("--rpd", "1"), ("--in-flight", "1"), ("--tier", "free")]
)
def test_limits_are_enforced(tmp_path: Path, option: tuple[str, str]) -> None:
    with emulator(tmp_path, "--latency", "1m", *option) as url, httpx.Client(headers=KEY) as client:
        requests = [body(model="gemini-2.5-pro") for _ in range(3)]
        answers = [client.post(url + URL, json=request) for request in requests]
    assert [answer.status_code for answer in answers][-1] == 429


def test_images_a_minute_are_enforced(tmp_path: Path) -> None:
    request = body(background=None, model="gemini-3.1-flash-image")
    with emulator(tmp_path, "--latency", "0s", "--ipm", "1") as url, httpx.Client(headers=KEY) as client:
        assert [client.post(url + URL, json=request).status_code for _ in range(2)] == [200, 429]


def test_a_later_emulator_goes_on_with_the_state(tmp_path: Path) -> None:
    options = ("--latency", "0s", "--state", str(tmp_path / "state.db"))
    with emulator(tmp_path, *options) as url, httpx.Client(headers=KEY) as client:
        name = client.post(url + URL, json=body()).json()["id"]
    with emulator(tmp_path, *options) as url, httpx.Client(headers=KEY) as client:
        assert client.get(f"{url}{URL}/{name}").json()["status"] == "completed"


def test_a_script_answers(tmp_path: Path) -> None:
    (tmp_path / "script.jsonl").write_text('{"text": "Eight."}\n')
    script = f"script:{tmp_path / 'script.jsonl'}"
    with emulator(tmp_path, "--latency", "0s", "--replies", script) as url, httpx.Client(headers=KEY) as client:
        answer = client.post(url + URL, json=body(background=None)).json()
    assert answer["steps"][-1]["content"][0]["text"] == "Eight."


def test_the_clock_of_a_served_emulator_can_be_put_forward(tmp_path: Path) -> None:
    with emulator(tmp_path, "--latency", "1h") as url, httpx.Client(headers=KEY) as client:
        name = client.post(url + URL, json=body()).json()["id"]
        client.post(f"{url}/emulator/clock", json={"advance": 3601})
        assert client.get(f"{url}{URL}/{name}").json()["status"] == "completed"


def test_a_run_can_be_answered_by_a_model_server(tmp_path: Path) -> None:
    def answering(request: dict[str, Any]) -> tuple[int, Any]:
        return 200, completion(request["messages"][-1]["content"].upper())

    write_job(tmp_path, rows=3)
    with model_server(answering) as server:
        replies = f"openai:{server.url}"
        code, out, err = command(tmp_path, "run", "job.json", "--emulator", "--replies", replies, "--json", "--quiet")
    assert (code, err) == (0, "")
    assert json.loads(out)["rows"] == 3
    assert {request["messages"][-1]["content"] for request in server.requests} == {f"Say word{n}" for n in range(3)}


def test_replies_that_mean_nothing_end_a_run_before_it_begins(tmp_path: Path) -> None:
    write_job(tmp_path, rows=1)
    code, _, err = command(tmp_path, "run", "job.json", "--emulator", "--replies", "parrot")
    assert code == 65
    assert "synthetic, script:FILE" in err


def test_every_fault_has_a_line(tmp_path: Path) -> None:
    code, out, err = command(tmp_path, "emulator", "faults")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == list(FAULTS)
