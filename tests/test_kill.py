"""Real deaths over a real socket, judged by the emulator's own ledger."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import httpx
import pyarrow.parquet as pq
import pytest

from tests.processes import emulator, finish, ledger, start, write_job

ROWS = 150


def wait_until(happened: Callable[[], bool]) -> None:
    """Return when another process has done something. Its files are all there is to see of it, so this looks again."""
    for _ in range(6000):
        if happened():
            return
        time.sleep(0.01)  # no test's result depends on how long: it ends by the condition, or fails after a minute
    pytest.fail("it did not happen within a minute")


def wait_for_posts(where: Path, count: int) -> None:
    """Return when the ledger has this many lines."""
    wait_until(lambda: len(ledger(where)) >= count)


def test_a_run_killed_again_and_again_pays_for_no_row_twice_outside_the_ambiguous_window(tmp_path: Path) -> None:
    random = Random(7)
    write_job(tmp_path, ROWS, retry={"ambiguous": {"model": "hold"}})
    with emulator(tmp_path, "--latency", "300ms") as url:
        killed = 0
        for posts in sorted(random.sample(range(1, ROWS), 5)):
            run = start(tmp_path, "run", "job.json", "--base-url", url, "--quiet")
            wait_for_posts(tmp_path, posts)
            run.kill()
            killed += finish(run)[0] == -signal.SIGKILL
        code, out, err = finish(start(tmp_path, "run", "job.json", "--base-url", url, "--json"))
    summary = json.loads(out)
    assert killed >= 4, err
    assert code == (4 if summary["ambiguous"] else 0)
    assert summary["succeeded"] + summary["ambiguous"] == ROWS
    assert summary["ambiguous"] <= killed * 4
    usage = pq.read_table(tmp_path / "runs/job/usage.parquet").to_pylist()
    rows = {attempt["intent_key"]: attempt["key"] for attempt in usage}
    payments = Counter(rows[line["labels"]["batchrun-intent"]] for line in ledger(tmp_path) if line["billed"])
    assert max(payments.values()) == 1
    known = {attempt["interaction_id"] for attempt in usage}
    unknown = [line for line in ledger(tmp_path) if line["billed"] and line["id"] not in known]
    assert len(unknown) <= summary["ambiguous"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_open_posts_answer_and_the_next_run_pays_for_nothing_twice(
    tmp_path: Path, number: signal.Signals
) -> None:
    write_job(tmp_path, ROWS, limits={"posts": 4, "in_flight": 60})
    with emulator(tmp_path, "--latency", "1h") as url:
        run = start(tmp_path, "run", "job.json", "--base-url", url)
        wait_for_posts(tmp_path, 50)
        watched = json.loads(finish(start(tmp_path, "status", "job.json", "--json"))[1])
        assert (watched["rows"], watched["pending"] > 0, watched["in_flight"] > 0) == (ROWS, True, True)
        run.send_signal(number)
        code, out, err = finish(run)
        assert code == 128 + number
        assert f"Go on with: batchrun run job.json --base-url {url}" in out
        assert "Traceback" not in err
        sent = len(ledger(tmp_path))
        assert 50 <= sent <= 60
        run = start(tmp_path, "run", "job.json", "--base-url", url, "--json", "--set", "limits.in_flight=1000")
        wait_for_posts(tmp_path, ROWS)
        httpx.post(f"{url}/emulator/clock", json={"advance": 3600})
        code, out, _ = finish(run)
    summary = json.loads(out)
    assert (code, summary["succeeded"], summary["posts"]) == (0, ROWS, ROWS)
    assert summary["posts_this_run"] == ROWS - sent
    assert len(ledger(tmp_path)) == ROWS


def test_a_second_signal_leaves_at_once(tmp_path: Path) -> None:
    write_job(tmp_path, 20)
    with emulator(tmp_path, "--faults", "slow=30s:1.0") as url:
        run = start(tmp_path, "run", "job.json", "--base-url", url)
        wait_for_posts(tmp_path, 4)
        run.send_signal(signal.SIGINT)
        assert run.stderr is not None
        while "stopping" not in run.stderr.readline():
            assert run.poll() is None
        run.send_signal(signal.SIGINT)
        assert finish(run, seconds=10)[0] == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_input_is_read_sends_nothing_and_has_its_own_exit_code(
    tmp_path: Path, number: signal.Signals
) -> None:
    write_job(tmp_path, 200_000)
    with emulator(tmp_path) as url:
        run = start(tmp_path, "run", "job.json", "--base-url", url)
        wait_until((tmp_path / "runs/job/run.db-wal").exists)
        run.send_signal(number)
        code, _, err = finish(run)
    assert code == 128 + number
    assert "Traceback" not in err
    assert ledger(tmp_path) == []
