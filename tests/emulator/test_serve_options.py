"""`batchrun emulator` and `batchrun run --emulator` take replies, limits and faults from the command line."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchrun.emulator import FAULTS
from tests.emulator.in_process import KEY, URL, body, text_of
from tests.emulator.model_server import completion, model_server
from tests.processes import command, emulator, finish, start, write_job


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


def test_a_long_foreground_answer_must_be_continued(tmp_path: Path) -> None:
    options = ("--latency", "0s", "--decode-limit", "5")
    with emulator(tmp_path, *options) as url, httpx.Client(base_url=url, headers=KEY) as client:
        first = client.post(URL, json=body(background=None)).json()
        assert first["status"] == "requires_continuation"
        assert first["usage"]["total_output_tokens"] <= 5
        follow_up = {"previous_interaction_id": first["id"], "continuation_token": first["continuation_token"]}
        second = client.post(URL, json=body(background=None, input=None, **follow_up)).json()
    assert text_of(second) not in ("", text_of(first))


def test_interactions_are_kept_as_long_as_it_says(tmp_path: Path) -> None:
    options = ("--latency", "0s", "--retention-days", "1.5")
    with emulator(tmp_path, *options) as url, httpx.Client(base_url=url, headers=KEY) as client:
        name = client.post(URL, json=body()).json()["id"]
        client.post("/emulator/clock", json={"advance": 1.49 * 86400})
        assert client.get(f"{URL}/{name}").status_code == 200
        client.post("/emulator/clock", json={"advance": 0.02 * 86400})
        assert client.get(f"{URL}/{name}").status_code == 404


def test_bad_keys_are_refused_and_others_are_not(tmp_path: Path) -> None:
    with emulator(tmp_path, "--latency", "0s", "--bad-key", "stolen", "--bad-key", "old") as url:
        answers = {
            key: httpx.post(url + URL, headers={"x-goog-api-key": key}, json=body()) for key in ("stolen", "old", "new")
        }
    assert [answer.status_code for answer in answers.values()] == [400, 400, 200]
    assert "API_KEY_INVALID" in answers["stolen"].text


@pytest.mark.parametrize(
    "option", [("--decode-limit", "0"), ("--retention-days", "-1"), ("--retention-days", "long"), ("--port", "65536")]
)
def test_values_that_mean_nothing_are_refused(tmp_path: Path, option: tuple[str, str]) -> None:
    code, out, err = command(tmp_path, "emulator", "serve", *option)
    assert (code, out) == (2, "")
    assert option[0] in err


def test_it_greets_with_what_to_do_and_ends_with_what_it_did(tmp_path: Path) -> None:
    served = start(tmp_path, "emulator", "serve", "--port", "0", "--latency", "0s")
    assert served.stdout is not None
    assert served.stderr is not None
    url = served.stdout.readline().strip()
    greeting = [served.stderr.readline().strip() for _ in range(3)]
    write_job(tmp_path, rows=2)
    name, _, value = greeting[1].partition("export ")[2].partition("=")
    run = start(tmp_path, "run", "job.json", "--quiet", env={**os.environ, name: value})
    assert finish(run) == (0, "", "")
    assert httpx.post(url + URL, headers=KEY, json={}).status_code == 400
    served.send_signal(signal.SIGINT)
    code, out, err = finish(served)
    assert "Answers are made up" in greeting[0]
    assert "Ctrl-C" in greeting[2]
    assert (code, out) == (0, "")
    assert re.fullmatch(r"Stopped after 2 interactions and \d+ polls?; 1 create refused\.", err.strip())


@pytest.mark.parametrize(
    ("replies", "source"),
    [("script:answers.jsonl", "answers.jsonl"), ("openai:http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1")],
)
def test_it_says_where_answers_come_from(tmp_path: Path, replies: str, source: str) -> None:
    (tmp_path / "answers.jsonl").write_text('{"text": "Eight."}\n')
    served = start(tmp_path, "emulator", "serve", "--port", "0", "--replies", replies)
    assert served.stderr is not None
    greeting = served.stderr.readline()
    served.terminate()
    assert finish(served)[0] == 0
    assert source in greeting


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
