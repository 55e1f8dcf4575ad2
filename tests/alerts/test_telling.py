"""Targets are told, in real processes and on real sockets; what is secret is in no message, and no child has it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from batchrun.alerts import targets
from batchrun.alerts.targets import Sender, Untold
from batchrun.clock import wall_clock
from batchrun.spec.alerting import TargetSpec
from tests.processes import emulator, finish, ledger, start, write_job
from tests.webhooks.test_signatures import OLD, secrets

NEWS = {"id": "alert_1", "job": "j", "rule": "stuck", "state": "begun", "message": "it is stuck\0", "at": "now"}


class Heard(list[tuple[str, dict[str, str], bytes]]):
    """Requests that came: path, headers, body. The next are answered with `statuses`, then with 200."""

    url = ""
    statuses: list[int]


@contextmanager
def server() -> Iterator[Heard]:
    heard = Heard()
    heard.statuses = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            heard.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(heard.statuses.pop(0) if heard.statuses else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        heard.url = f"http://127.0.0.1:{listening.server_port}"
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield heard
        listening.shutdown()


def tell(where: Path, news: dict[str, str] | None = None, secret: str = "", **target: Any) -> None:
    sender = Sender(where, secrets(secret))
    asyncio.run(sender.tell(TargetSpec.model_validate(target), news or NEWS, wall_clock()))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "_PAUSES", (0.0, 0.0, 0.0))


def test_a_webhook_gets_the_alert_signed_so_that_another_implementation_believes_it(tmp_path: Path) -> None:
    with server() as heard:
        heard.statuses = [503, 429]
        tell(tmp_path, secret=OLD, webhook=f"{heard.url}/in?token=x")
    assert [path for path, _, _ in heard] == ["/in?token=x"] * 3
    assert Webhook(OLD).verify(heard[-1][2], heard[-1][1])["rule"] == "stuck"


def test_an_address_that_fails_is_named_by_its_host_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as heard:
        monkeypatch.setenv("HOOK", f"{heard.url}/secret-path")
        heard.statuses = [404]
        with pytest.raises(Untold, match=r"^127\.0\.0\.1: HTTP 404$"):
            tell(tmp_path, webhook="${HOOK}/in")
        assert [path for path, _, _ in heard] == ["/secret-path/in"]
    with pytest.raises(Untold, match=r"^127\.0\.0\.1: Connection refused$"):
        tell(tmp_path, webhook="${HOOK}/in")


def test_a_command_gets_the_alert_and_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMINI_API_KEY", "BATCHRUN_WEBHOOK_SECRET", "BATCHRUN_ALERT_SECRET"):
        monkeypatch.setenv(name, "the-secret-one")
    monkeypatch.setenv("OTHER", "is-there")
    code = "import os, sys; open('seen', 'w').write(sys.stdin.read() + repr(dict(os.environ)))"
    tell(tmp_path, command=[sys.executable, "-c", code])
    seen = (tmp_path / "seen").read_text()
    assert json.loads(seen.split("}")[0] + "}") == NEWS
    assert "'BATCHRUN_ALERT_MESSAGE': 'it is stuck'" in seen
    assert ("is-there" in seen, "the-secret-one" in seen) == (True, False)


def test_a_command_that_does_not_end_is_killed_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "_COMMAND", 0.5)
    with pytest.raises(Untold, match="did not end within"):
        tell(tmp_path, command=["sh", "-c", "sleep 60 & echo $! > child; wait"])
    child = int((tmp_path / "child").read_text())
    stat = Path(f"/proc/{child}/stat")
    assert not stat.exists() or stat.read_text().split()[2] == "Z"


@pytest.mark.parametrize(
    ("command", "why"),
    [(["false"], "false: exit code 1"), (["no-such-program"], "No such file"), (["a\0b"], "null byte")],
)
def test_a_command_that_fails_is_said_so(tmp_path: Path, command: list[str], why: str) -> None:
    with pytest.raises(Untold, match=why):
        tell(tmp_path, command=command)


def alerting_job(where: Path, url: str, **alerts: Any) -> dict[str, str]:
    """A job that tells a webhook, a command and a dead man's switch; the environment that it needs."""
    to = [{"webhook": "${HOOK}/in"}, {"command": ["sh", "-c", "cat >> told"]}, {"ping": "${HOOK}/ping"}]
    write_job(where, 4, alerts={"to": to, **alerts}, retry={"ambiguous": {"model": "hold"}})
    return {**os.environ, "HOOK": url}


def test_a_run_tells_once_what_gives_cause_and_the_dead_man_s_switch_how_it_went(tmp_path: Path) -> None:
    with server() as heard, emulator(tmp_path, "--latency", "10ms", "--faults", "drop_after:#2") as url:
        env = alerting_job(tmp_path, heard.url)
        for command in ("run", "tick"):
            code, _, said = finish(start(tmp_path, command, "job.json", "--base-url", url, env=env))
            assert code == 4, said
    assert [path for path, _, _ in heard if path == "/in"] == ["/in"]
    pings = [path for path, _, _ in heard if path.startswith("/ping")]
    assert pings[0] == "/ping/start"
    assert set(pings[1:]) == {"/ping/fail"}
    (line,) = (tmp_path / "told").read_text().replace("}{", "}\n{").splitlines()
    assert (json.loads(line)["rule"], json.loads(line)["state"]) == ("ambiguous", "begun")
    assert len(ledger(tmp_path)) == 4


def test_a_run_that_succeeds_says_so_and_targets_that_cannot_be_reached_do_not_stop_it(tmp_path: Path) -> None:
    with server() as heard, emulator(tmp_path, "--latency", "10ms") as url:
        env = alerting_job(tmp_path, heard.url, tokens=1)
        heard.statuses = [400] * 50
        code, _, said = finish(start(tmp_path, "run", "job.json", "--base-url", url, env=env))
        assert (code, "an alert was not told: 127.0.0.1: HTTP 400" in said, "/in" in said) == (0, True, False), said
        heard.statuses = []
        assert finish(start(tmp_path, "tick", "job.json", "--base-url", url, env=env))[0] == 0
    assert [path for path, _, _ in heard][-1] == "/ping/fail"  # the alert stands
    assert json.loads([body for path, _, body in heard if path == "/in"][-1])["rule"] == "tokens"


def test_a_run_says_that_it_tells_its_targets_and_then_once_that_it_has_ended(tmp_path: Path) -> None:
    with server() as heard, emulator(tmp_path, "--latency", "10ms") as url:
        env = alerting_job(tmp_path, heard.url)
        code, _, said = finish(start(tmp_path, "run", "job.json", "--base-url", url, env=env))
    assert (code, said.count(" telling alerts: "), said.count(" ended · 4 of 4 done")) == (0, 1, 1), said
    assert said.index(" telling alerts: ") < said.index(" ended · ")


@pytest.mark.parametrize("option", ["--quiet", "--brief", "--json"])
def test_a_quiet_run_says_once_that_a_target_was_not_reached_and_nothing_else(tmp_path: Path, option: str) -> None:
    with server() as heard, emulator(tmp_path, "--latency", "10ms") as url:
        env = alerting_job(tmp_path, heard.url)
        heard.statuses = [400] * 50
        code, _, said = finish(start(tmp_path, "run", "job.json", "--base-url", url, option, env=env))
    assert code == 0
    (line,) = said.splitlines()
    assert line.endswith(" an alert was not told: 127.0.0.1: HTTP 400")


def test_a_variable_that_is_missing_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    with emulator(tmp_path) as url:
        env = {name: value for name, value in alerting_job(tmp_path, "").items() if name != "HOOK"}
        code, _, said = finish(start(tmp_path, "run", "job.json", "--base-url", url, env=env))
    assert (code, "the environment has no HOOK" in said, ledger(tmp_path)) == (65, True, [])
