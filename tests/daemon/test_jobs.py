"""Which files of a directory are jobs of the daemon's, without running anything of the user's."""

from __future__ import annotations

import sys
from pathlib import Path

from batchrun.daemon.jobs import JobFiles

JOB = """
name: {name}
input: {{path: rows.jsonl}}
request: {{model: gemini-3.5-flash, input: hello, functions: ["code.py:tell"]}}
schedule: {{cron: "0 3 * * *"}}
"""


def names(files: JobFiles) -> list[str]:
    return sorted(job.name for job in files.look()[0].values())


def test_only_files_with_a_schedule_count(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(JOB.format(name="one"))
    (tmp_path / "plain.yaml").write_text("name: plain\n")
    (tmp_path / "rows.json").write_text("[1, 2]")
    (tmp_path / ".hidden.yaml").write_text(JOB.format(name="hidden"))
    (tmp_path / "large.json").write_text(" " * 2_000_000)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "two.yaml").write_text(JOB.format(name="two"))
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    files = JobFiles([tmp_path])
    assert files.look()[1] == []
    assert names(files) == ["one"]


def test_no_python_of_a_job_is_run(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(JOB.format(name="one"))
    (tmp_path / "code.py").write_text("import sys\nsys.ran_by_the_daemon = True\ndef tell(): ...\n")
    assert names(JobFiles([tmp_path])) == ["one"]
    assert not hasattr(sys, "ran_by_the_daemon")


def test_a_file_that_is_named_has_to_have_a_schedule(tmp_path: Path) -> None:
    plain, gone = tmp_path / "plain.yaml", tmp_path / "gone.yaml"
    plain.write_text("name: plain\n")
    jobs, problems = JobFiles([plain, gone]).look()
    assert jobs == {}
    assert [problem.text.split(": ", 1)[1] for problem in problems] == [
        "cannot be read: No such file or directory",
        "the job has no `schedule`",
    ]


def test_a_file_that_would_take_minutes_is_refused_before_it_is_parsed_and_the_others_are_used(tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text("a." * 500_000 + "b = 1\n")
    (tmp_path / "one.yaml").write_text(JOB.format(name="one"))
    jobs, (problem,) = JobFiles([tmp_path]).look()
    assert ([job.name for job in jobs.values()], problem.path.name) == (["one"], "deep.toml")
    assert "more than 1,000 dots" in problem.text


def test_a_problem_is_told_again_only_if_it_was_gone_meanwhile(tmp_path: Path) -> None:
    path, files = tmp_path / "one.yaml", JobFiles([tmp_path])
    path.write_text("schedule: [")
    assert [len(files.look()[1]) for _ in range(3)] == [1, 0, 0]
    path.write_text(JOB.format(name="one"))
    assert files.look()[1] == []
    path.write_text("schedule: [")
    assert len(files.look()[1]) == 1


def test_the_same_setting_for_all_jobs_may_change_their_schedules(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(JOB.format(name="one"))
    ((_, job),) = JobFiles([tmp_path], ["schedule.timezone=Europe/Berlin"]).look()[0].items()
    assert (job.schedule.timezone, job.home) == ("Europe/Berlin", tmp_path / "runs" / "one")
    ((_, job),) = JobFiles([tmp_path], emulated=True).look()[0].items()
    assert job.home == tmp_path / "runs" / "one.emulated"
