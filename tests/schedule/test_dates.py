"""The dates of a slot stand in prompts, conditions and paths, and are the same whenever the slot is gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from click.testing import CliRunner

from batchrun.cli import commands
from batchrun.errors import RowError, SpecError
from batchrun.runs.scheduled import planned
from batchrun.spec.dating import Dates
from batchrun.spec.load import Job, load_job
from batchrun.spec.rendering.constants import expression_with_constants, with_constants
from batchrun.spec.rendering.templates import Template
from tests.processes import emulator
from tests.schedule.nightly import Nightly

DATES = Dates(slot="2026-11-23T0200Z", date="2026-11-23", run_date="2026-11-24")
VALUES = {"slot": DATES.slot, "date": DATES.date, "run_date": DATES.run_date}
STAGED: dict[str, Any] = {
    "tag": {"request": {"input": "{{ question }} on {{ date }}"}, "when": "day <= date"},
    "sum": {"needs": "tag", "batch": {}, "request": {"input": "{{ slot }}: {{ rows | length }} rows"}},
}


def job(where: Path, **changes: Any) -> Job:
    spec = {
        "name": "dated",
        "schedule": {"cron": "0 3 * * *", "timezone": "Europe/Berlin"},
        "input": {"path": "rows.jsonl"},
        "request": {"model": "gemini-3.5-flash", "input": "{{ question }}"},
        **changes,
    }
    path = where / "job.json"
    path.write_text(json.dumps(spec))
    return load_job(path, dates=DATES)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ date }} {{run_date}} {{ slot }}", "2026-11-23 2026-11-24 2026-11-23T0200Z"),
        ("{{ date | replace('-', '/') }} {{ date[:4] }}", "2026/11/23 2026"),
        ("{% if date > '2026' %}{{ row.date }}{% endif %} {{ row['date'] }}", "mine mine"),
        ("{{ other.date }} {{ other['date'] }} {{ {'a': date}.a }}", "theirs theirs 2026-11-23"),
        ("{{ missing | default(date) }} {{ date is defined }}", "2026-11-23 true"),
        ("{# {{ date }} #}{% raw %}{{ date }}{% endraw %}{{- date -}} ", "{{ date }}2026-11-23"),
        ("{% for date in days %}{{ date }}{% endfor %}", "12"),
        ("a\nb {{ date }}\n", "a\nb 2026-11-23\n"),
        ("no names", "no names"),
    ],
)
def test_a_bare_name_is_the_slots_and_every_other_is_what_it_was(template: str, text: str) -> None:
    filled, _ = with_constants(template, VALUES)
    row = {"date": "mine", "other": {"date": "theirs"}, "days": [1, 2]}
    assert Template(filled).render(row) == text


def test_a_condition_knows_the_dates_too() -> None:
    filled, names = expression_with_constants("day == date and not run_date == day and x.date", VALUES)
    assert filled == 'day == "2026-11-23" and not "2026-11-24" == day and x.date'
    assert names == {"date", "run_date"}


def test_a_template_that_makes_a_variable_of_such_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"job.json:\d+: request.input: 'date' is known by itself"):
        job(tmp_path, request={"model": "m", "input": "{{ date }}{% set date = 1 %}"})


def test_dates_stand_in_every_place_that_may_speak_of_them(tmp_path: Path) -> None:
    found = job(
        tmp_path,
        input={"path": "in/{{ date }}.jsonl", "where": "day == date"},
        request={
            "model": "gemini-3.5-flash",
            "system_instruction": "Today is {{ run_date }}.",
            "input": [{"type": "text", "text": "{{ slot }}"}, {"type": "document", "path": "in/{{ date }}/{{ file }}"}],
        },
        output={"dir": "out/date={{ date }}"},
    )
    rendered = found.request.render({"file": "a.pdf"}).body
    assert rendered["system_instruction"] == "Today is 2026-11-24."
    assert rendered["input"][0]["text"] == "2026-11-23T0200Z"
    assert rendered["input"][1].path == "in/2026-11-23/a.pdf"
    assert (found.spec.input.path, found.spec.input.where) == ("in/2026-11-23.jsonl", 'day == "2026-11-23"')
    assert found.spec.output.dir == "out/date=2026-11-23"
    assert found.dates_read == {"slot", "date", "run_date"}


def test_stages_know_the_dates_in_prompts_and_conditions_also_those_of_a_batch(tmp_path: Path) -> None:
    found = job(tmp_path, request={"model": "gemini-3.5-flash"}, stages=STAGED)
    assert found.of("sum").request.render({"rows": [1, 2]}).body["input"] == "2026-11-23T0200Z: 2 rows"
    when = found.of("tag").when
    assert when is not None
    assert (when.holds({"day": "2026-11-22"}), when.holds({"day": "2026-11-24"})) == (True, False)


def test_a_job_without_a_schedule_has_columns_of_these_names_as_before(tmp_path: Path) -> None:
    found = job(tmp_path, schedule=None, request={"model": "m", "input": "{{ date }}"}, output={"dir": "out"})
    assert found.request.render({"date": "a column"}).body["input"] == "a column"
    assert (found.dates, found.dates_read) == (None, frozenset())


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"input": {"path": "in/{{ date }}.jsonl"}}, r"job.json:\d+: input.path: `{{ date }}` is filled in only"),
        ({"input": {"files": "{{run_date}}/*.pdf"}}, r"job.json:\d+: input.files: `{{ run_date }}` is filled in only"),
        ({"output": {"dir": "out/{{- slot }}"}}, r"job.json:\d+: output.dir: `{{ slot }}` is filled in only"),
    ],
)
def test_a_path_with_a_date_in_a_job_without_a_schedule_is_refused(
    tmp_path: Path, section: dict[str, Any], said: str
) -> None:
    with pytest.raises(SpecError, match=rf"{said} in a job with a `schedule`, and this one has none"):
        job(tmp_path, schedule=None, **section)


def test_a_row_without_such_a_column_is_told_that_only_scheduled_jobs_have_dates(tmp_path: Path) -> None:
    found = job(tmp_path, schedule=None, request={"model": "m", "input": "{{ question }} on {{ date }}"})
    with pytest.raises(RowError, match=r"no column 'date'; it has 'question'; only a job with a `schedule` has dates"):
        found.request.render({"question": "Why?"})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"input": {"path": "in/{{ day }}.jsonl"}}, r"input.path: .*'day'.*A path may read {{ slot }}, {{ date }}"),
        ({"output": {"dir": "out"}}, r"output.dir: each slot would replace the results of the one before"),
    ],
)
def test_paths_that_cannot_be_meant_are_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        job(tmp_path, **changes)


@pytest.mark.parametrize("command", ["run", "plan", "validate"])
def test_a_column_that_is_called_as_what_a_prompt_reads_is_refused_before_anything_is_sent(
    tmp_path: Path, command: str
) -> None:
    job(tmp_path, request={"model": "gemini-3.5-flash", "input": "{{ date }}"})
    (tmp_path / "rows.jsonl").write_text('{"question": "?"}\n{"question": "?", "date": "1999"}\n')
    options = ["--emulator"] if command == "run" else []
    for _ in range(2):  # nothing of it stays
        done = CliRunner().invoke(commands, [command, str(tmp_path / "job.json"), *options])
        assert "Write `row.date` for the column" in done.output
    assert done.exit_code == (0 if command == "plan" else 65)


def test_a_slot_asks_the_same_on_every_day_on_which_it_is_gone_on_with(tmp_path: Path) -> None:
    once, asked = {"cron": "0 3 23 11 *"}, "{{ question }} ({{ date }}, {{ run_date }})"
    job = Nightly(tmp_path, schedule=once, request={"input": asked}, poll={"deadline": "9d"})
    job.latency = "30h"
    job.tick()
    for moment in ("11-23T09:00:05", "11-24T02:00", "11-25T02:00"):
        job.wait(moment)
        job.tick()
    assert job.states()["11-23"] == "done"
    assert len(job.billed()) == 3
    found = planned(job.wanted("2026-11-23"), job.clock.wall())
    assert found.dates == Dates(slot="2026-11-23T0300Z", date="2026-11-23", run_date="2026-11-23")


def test_an_edit_of_the_job_is_noticed_in_a_slot_as_in_any_run(tmp_path: Path) -> None:
    job = Nightly(tmp_path, request={"input": "{{ question }} ({{ date }})"})
    job.by_hand()
    job.spec["request"]["input"] = "{{ question }} (on {{ date }})"
    with pytest.raises(SpecError, match=r"3 changed"):
        job.by_hand()


def test_two_slots_do_not_write_over_each_other(tmp_path: Path) -> None:
    job = Nightly(tmp_path, schedule={"cron": "0 * * * *"}, output={"dir": "out/date={{ date }}"})
    job.by_hand()
    job.wait("11-22T14:30")
    with pytest.raises(SpecError, match=r"has the results of the slot 2026-11-22T1300Z"):
        job.by_hand()


def test_a_run_directory_of_ones_own_is_gone_on_with_as_the_slot_that_it_is_of(tmp_path: Path) -> None:
    job(tmp_path, request={"model": "gemini-3.5-flash", "input": "{{ question }} {{ date }}"})
    (tmp_path / "rows.jsonl").write_text('{"question": "?"}\n')
    words = [str(tmp_path / "job.json"), "--run-dir", str(tmp_path / "mine"), "--emulator"]
    first = CliRunner().invoke(commands, ["run", *words, "--slot", "2026-11-20", "--latency", "0s"])
    again = CliRunner().invoke(commands, ["run", *words])
    other = CliRunner().invoke(commands, ["run", *words, "--slot", "2026-11-19"])
    assert (first.exit_code, again.exit_code, other.exit_code) == (0, 0, 65)
    assert "is of another slot of the schedule ('2026-11-20T0200Z', not '2026-11-19T0200Z')" in other.output


def test_partitions_are_read_with_their_date_as_a_column(tmp_path: Path) -> None:
    job(tmp_path, output={"dir": "out/date={{ date }}"})
    (tmp_path / "rows.jsonl").write_text('{"question": "?"}\n{"question": "!"}\n')
    with emulator(tmp_path, "--latency", "0ms") as url:
        for day in ("2026-11-20", "2026-11-21"):
            words = ["run", str(tmp_path / "job.json"), "--base-url", url, "--slot", day, "--set", "poll.first=0"]
            done = CliRunner().invoke(commands, words)
            assert done.exit_code == 0, done.output
    files = [str(path) for path in sorted(tmp_path.glob("out/*/results.parquet"))]
    hive = ds.partitioning(flavor="hive")
    table = ds.dataset(files, partitioning=hive, partition_base_dir=str(tmp_path / "out")).to_table()
    assert table["date"].to_pylist() == ["2026-11-20"] * 2 + ["2026-11-21"] * 2
