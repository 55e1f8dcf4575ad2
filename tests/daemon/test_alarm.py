"""The daemon tells the targets of a job's alerts of slots that were not run; no other job of its waits for that."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from batchrun.daemon.alarm import Alarm
from batchrun.daemon.jobs import JobFile, JobFiles
from batchrun.daemon.messages import Message
from batchrun.schedule.deciding import decided
from batchrun.schedule.record import Record

NOON = datetime(2026, 11, 22, 12, 30, tzinfo=UTC).timestamp()
JOB = """name: job
input: {path: rows.jsonl}
request: {model: gemini-3.5-flash, input: hello}
schedule: {cron: '0 * * * *', catch_up: none}
alerts: {to: [{command: %s}]}
"""


def job_of(where: Path, command: list[str]) -> JobFile:
    (where / "job.yaml").write_text(JOB % json.dumps(command))
    (job,) = JobFiles([where]).look()[0].values()
    job.home.mkdir(parents=True)
    return job


def missed(job: JobFile, alarm: Alarm) -> None:
    with Record(job.home) as record:
        for hours in (0, 3):
            for verdict in decided(job.schedule, job.name, record, NOON + hours * 3600, timedelta(minutes=2)):
                alarm(job, verdict)


async def one_outage(job: JobFile, told: list[Message], grace: float = 60) -> None:
    alarm = Alarm(lambda: NOON + 3 * 3600, told.append)
    missed(job, alarm)
    await alarm.aclose(grace)


def test_an_outage_is_told_in_one_message(tmp_path: Path) -> None:
    told: list[Message] = []
    asyncio.run(one_outage(job_of(tmp_path, ["sh", "-c", "cat >> heard; echo >> heard"]), told))
    (said,) = map(json.loads, (tmp_path / "heard").read_text().splitlines())
    assert (said["job"], said["rule"]) == ("job", "missed_slot")
    assert said["message"].startswith("3 slots not run: 2026-11-22T1300Z, ")
    assert told == []


def test_a_target_that_is_not_reached_is_told_on_the_daemons_own_lines(tmp_path: Path) -> None:
    told: list[Message] = []
    asyncio.run(one_outage(job_of(tmp_path, ["false"]), told))
    assert [(message.job, message.bad) for message in told] == [("job", True)]
    assert "an alert was not told: false: exit code 1" in told[0].text


def test_a_target_that_hangs_keeps_no_daemon_from_its_end_and_is_ended(tmp_path: Path) -> None:
    told: list[Message] = []
    command = ["sh", "-c", "echo $$ > started; sleep 100"]
    asyncio.run(asyncio.wait_for(one_outage(job_of(tmp_path, command), told, 2), 20))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "started").read_text()), 0)
