"""Real processes: an emulator on a socket that sends its webhooks to a run that listens."""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from click.testing import CliRunner

from batchrun.cli import commands
from batchrun.clock import wall_clock
from tests.processes import command, emulator, finish, ledger, start, write_job
from tests.webhooks.test_signatures import NEW

POLLS = {"first": "20s", "ceiling": "20s", "rpm": None}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def call(url: str, body: Any, **headers: str) -> Any:
    """POST JSON; the answer's JSON, or the status it is refused with."""
    data, given = json.dumps(body).encode(), {"content-type": "application/json", "x-goog-api-key": "k" * 20, **headers}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, given), timeout=10) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_a_post_whose_answer_is_lost_is_found_by_its_event(tmp_path: Path) -> None:
    write_job(tmp_path, 6, poll=POLLS, retry={"ambiguous": {"model": "hold"}})
    port = free_port()
    with emulator(tmp_path, "--latency", "1s", "--faults", "drop_after:#3") as url:
        uri = f"http://127.0.0.1:{port}/hook"
        began = time.perf_counter()
        code, _, said = command(
            tmp_path, "run", "job.json", "--base-url", url, "--webhook", str(port), "--webhook-uri", uri
        )
    assert code == 0, said
    assert f"webhooks are heard at {uri}" in said
    assert time.perf_counter() - began < 15
    assert len(ledger(tmp_path)) == 6


def test_the_project_s_webhook_is_heard_by_its_secret_and_forgers_are_not(tmp_path: Path) -> None:
    write_job(tmp_path, 5, poll=POLLS)
    port = free_port()
    with emulator(tmp_path, "--latency", "2s") as url:
        events = ["interaction.completed", "interaction.failed", "interaction.cancelled"]
        asked = {"uri": f"http://127.0.0.1:{port}/", "subscribed_events": events, "name": "mine"}
        secret = call(f"{url}/v1/webhooks", asked)["new_signing_secret"]
        env = {**os.environ, "BATCHRUN_WEBHOOK_SECRET": f"{NEW} {secret}"}
        process = start(tmp_path, "run", "job.json", "--base-url", url, "--webhook", str(port), env=env)
        while not ledger(tmp_path):
            time.sleep(0.05)
        forged = {"webhook-id": "m", "webhook-timestamp": str(int(wall_clock())), "webhook-signature": "v1,AAAA"}
        assert call(f"http://127.0.0.1:{port}/", {"type": "interaction.completed"}, **forged) == (401, b"")
        code, out, said = finish(process)
    assert code == 0, said
    assert [row["polls"] for row in pq.read_table(tmp_path / "runs" / "job" / "usage.parquet").to_pylist()] == [1] * 5
    kept = b"".join(path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file())
    for hidden in (secret, NEW):
        assert hidden not in out + said
        assert hidden.encode() not in kept


def test_what_cannot_work_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    write_job(tmp_path, 1)

    def said(*options: str, secret: str = "") -> str:
        runner = CliRunner(env={"BATCHRUN_WEBHOOK_SECRET": secret})
        found = runner.invoke(commands, ["run", str(tmp_path / "job.json"), *options])
        assert found.exit_code in (2, 65), found.output
        return found.stderr

    service = ("--base-url", "http://127.0.0.1:9")
    assert "nothing that came could be proved" in said("--webhook", "0", *service)
    assert "write https://HOST/PATH" in said("--webhook", "0", "--webhook-uri", "http://me.example/", *service)
    assert "no place to listen at" in said("--webhook", "here", "--webhook-uri", "https://me.example/", *service)
    assert "does nothing without --webhook" in said("--webhook-uri", "https://me.example/", *service)
    assert "--webhook does nothing with --emulator" in said("--webhook", "0", "--emulator")
    wrong = said("--webhook", "0", *service, secret="hunter2")
    assert ("is no signing secret" in wrong, "hunter2" in wrong) == (True, False)
    assert not (tmp_path / "runs").exists()
