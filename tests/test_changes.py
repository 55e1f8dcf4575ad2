"""Edited inputs and jobs: what would be paid again is told first, and only that is sent, by the emulator's ledger."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batchrun.aftercare.verification import verify
from batchrun.engine.media import library_of
from batchrun.errors import Exit, SpecError
from batchrun.outputs.summary import Summary
from batchrun.reports.previews import Preview, preview
from batchrun.runs.comparison import Comparison
from batchrun.runs.directory import RunDir
from batchrun.runs.options import Options
from batchrun.runs.run import run
from batchrun.spec.load import load_job
from batchrun.store.reader import Reader
from tests.aftercare.visits import leave_in_flight, purge_all
from tests.emulator.media_files import picture
from tests.engine.test_resume import death
from tests.rehearsal import Rehearsal

PLAIN = {"model": "gemini-3.5-flash", "input": "Answer: {{ question }}"}


def done(where: Path, rows: int = 5, **changes: Any) -> Rehearsal:
    """A job whose rows have all succeeded."""
    job = Rehearsal(where, rows=rows)
    job.spec |= changes
    assert job.run().exit_code is Exit.OK
    return job


def plain(where: Path, rows: int = 5, **request: Any) -> Rehearsal:
    return done(where, rows, request={**PLAIN, **request})


def posts(job: Rehearsal) -> int:
    return len(job.ledger())


def refusal(job: Rehearsal) -> str:
    """What `run` says; nothing is sent, and the checkpoint stays as it was."""
    before, sent = checkpoint(job), posts(job)
    with pytest.raises(SpecError) as caught:
        job.run()
    assert (checkpoint(job), posts(job)) == (before, sent)
    return str(caught.value)


def checkpoint(job: Rehearsal) -> list[tuple[Any, ...]]:
    with Reader(job.directory / "run.db") as reader:
        tables = [reader.connection.execute(f"SELECT * FROM {name}").fetchall() for name in ("row", "attempt", "meta")]
    return [row for table in tables for row in table]


def accepted(job: Rehearsal) -> tuple[int, Summary]:
    """The POSTs of a run that accepts the change, by the emulator's ledger, and where its rows stand."""
    before, result = posts(job), job.run(accept_change=True)
    assert result.exit_code is Exit.OK
    assert job.run().nothing_to_do
    return posts(job) - before, result.summary


def planned(job: Rehearsal) -> Preview:
    return preview(load_job(job.write()), RunDir(job.directory))


# -- six edits of the input --------------------------------------------------------------------------------------------


def edit(rows: list[dict[str, Any]]) -> None:
    rows[3]["question"] = "Something else?"


def reorder(rows: list[dict[str, Any]]) -> None:
    rows.reverse()


def append(rows: list[dict[str, Any]]) -> None:
    rows.append({"id": "more", "question": "Why?"})


def truncate(rows: list[dict[str, Any]]) -> None:
    del rows[3:]


def delete(rows: list[dict[str, Any]]) -> None:
    del rows[2]


def duplicate(rows: list[dict[str, Any]]) -> None:
    rows.insert(2, {**rows[1], "id": "r1-again"})


#: For each: whether the user is asked, what is told of the rows, and the POSTs once it is accepted.
EDITS = [
    (edit, True, "4 the same, 0 new, 1 changed, 0 gone", 1),
    (reorder, False, "", 0),
    (append, False, "", 1),
    (truncate, True, "3 the same, 0 new, 0 changed, 2 gone", 0),
    (delete, True, "4 the same, 0 new, 0 changed, 1 gone", 0),
    (duplicate, False, "", 1),
]


@pytest.mark.parametrize(("change", "asks", "told", "sent"), EDITS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_edited_input_sends_what_is_new_and_asks_about_the_rest(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], None], asks: bool, told: str, sent: int
) -> None:
    job = done(tmp_path)
    change(job.rows)
    assert planned(job).refused is asks
    if asks:
        assert told in refusal(job)
        assert told in "\n".join(planned(job).changes.lines())
    assert accepted(job)[0] == sent
    assert [row["key"] for row in job.results()] == [row["id"] for row in job.rows]
    assert {row["status"] for row in job.results()} == {"succeeded"}


@pytest.mark.parametrize(("change", "sent"), [(edit, 1), (reorder, 0), (append, 1), (truncate, 0), (delete, 0)])
def test_rows_that_are_named_by_their_content_are_never_changed_but_new_and_gone(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], None], sent: int
) -> None:
    job = done(tmp_path, input={"path": "rows.jsonl"})
    change(job.rows)
    assert accepted(job)[0] == sent
    assert len(job.results()) == len(job.rows)


def test_a_duplicate_of_a_row_without_a_key_is_a_row_of_its_own(tmp_path: Path) -> None:
    job = done(tmp_path, input={"path": "rows.jsonl"})
    job.rows.append(job.rows[0])
    assert accepted(job)[0] == 1


def test_the_changed_row_is_named_with_what_was_edited_and_priced(tmp_path: Path) -> None:
    job = done(tmp_path)
    job.rows[3] |= {"question": "Something else?", "note": "x"}
    said = refusal(job)
    assert f"changed: row 'r3' ({'rows.jsonl'}:4): its 'question', 'note'" in said
    assert "to send again: 1 row: about 1 interaction and" in said
    assert "what they would replace has taken:" in said
    assert "about $0.0" in said
    assert "--accept-change" in said
    assert str(job.directory) in said


def test_a_column_that_no_request_reads_may_be_edited_and_the_results_show_it(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3)
    job.rows[1]["note"] = "before"
    job.spec["output"] = {"columns": ["note"]}
    job.run()
    job.rows[1]["note"] = "after"
    assert not planned(job).refused
    assert job.run().nothing_to_do
    assert posts(job) == 3
    assert [row["note"] for row in job.results()] == [None, "after", None]


def test_an_old_answer_is_replaced_at_the_users_wish_and_stays_in_the_usage(tmp_path: Path) -> None:
    job = done(tmp_path, rows=3)
    job.rows[1]["question"] = "Something else?"
    accepted(job)
    mine = [row for row in job.usage() if row["key"] == "r1"]
    assert [(row["attempt"], row["superseded"], row["state"]) for row in mine] == [
        (1, True, "fetched"),
        (2, False, "fetched"),
    ]
    assert all(row["total_tokens"] for row in mine)
    assert mine[0]["request_sha"] != mine[1]["request_sha"]
    with Reader(job.directory / "run.db") as reader:
        marks = reader.connection.execute("SELECT superseded_by FROM attempt WHERE superseded_at NOT NULL").fetchall()
    assert marks == [("user",)]


def test_a_row_that_is_gone_leaves_the_results_not_the_books_and_comes_back_for_nothing(tmp_path: Path) -> None:
    job = done(tmp_path)
    taken = job.rows.pop(2)
    answer = next(row for row in job.results() if row["key"] == "r2")
    sent, summary = accepted(job)
    assert (sent, summary.rows, summary.gone, summary.succeeded) == (0, 4, 1, 4)
    assert [row["key"] for row in job.usage()] == ["r0", "r1", "r2", "r3", "r4"]
    assert "r2" not in [row["key"] for row in job.results()]
    job.rows.append(taken)
    sent, summary = accepted(job)
    assert (sent, summary.rows, summary.gone) == (0, 5, 0)
    assert next(row for row in job.results() if row["key"] == "r2")["text"] == answer["text"]


def test_rows_that_were_never_sent_or_were_refused_change_without_asking(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=4)
    job.spec["request"] = {**PLAIN, "input": "Answer: {{ question }}{{ more }}"}
    job.rows = [{**row, "more": ""} for row in job.rows[:3]] + [job.rows[3]]
    job.rows[1]["request"] = {"generation_config": {"temperature": 99}}
    assert job.run().summary.errors == {"invalid_request": 1, "template_error": 1}
    del job.rows[1]["request"]
    job.rows[3]["more"] = "!"
    before = posts(job)
    assert job.run().exit_code is Exit.OK
    assert posts(job) - before == 2


def test_a_request_that_could_not_be_rendered_is_sent_once_the_template_is_mended(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2)
    job.spec["request"] = {**PLAIN, "input": "Answer: {{ qestion }}"}
    assert job.run().summary.errors == {"template_error": 2}
    job.spec["request"] = PLAIN
    assert job.run().summary.succeeded == 2


# -- the request -------------------------------------------------------------------------------------------------------

FIELDS: dict[str, Any] = {
    "model": "gemini-3.5-flash-lite",
    "input": "Reply: {{ question }}",
    "system_instruction": "Be brief.",
    "generation_config": {"max_output_tokens": 500},
    "response_format": {"schema": {"type": "object", "properties": {"answer": {"type": "string"}}}},
    "tools": ["google_search"],
    "safety_settings": [{"type": "harassment", "threshold": "block_none"}],
    "service_tier": "flex",
    "store": False,
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_the_request_that_changes_every_request_is_told_and_sent_again_only_if_accepted(
    tmp_path: Path, field: str
) -> None:
    job = plain(tmp_path, rows=3)
    job.spec["request"] = {**PLAIN, field: FIELDS[field]}
    said = refusal(job)
    assert f"request.{field}" in said
    assert "0 the same, 0 new, 3 changed, 0 gone" in said
    assert "3 changed" in "\n".join(planned(job).changes.lines())
    assert accepted(job)[0] == 3


FREE: dict[str, Any] = {
    "limits": {"rpm": 600, "posts": 2, "in_flight": 3},
    "poll": {"first": "1s", "deadline": "2h"},
    "retry": {"attempts": 3, "ambiguous": {"model": "hold"}},
    "output": {"jsonl": True, "columns": ["question"]},
    "input": {"path": "./rows.jsonl", "key": "id"},
    "limit": {"path": "rows.jsonl", "key": "id", "limit": 100},
}


@pytest.mark.parametrize("section", FREE)
def test_what_does_not_change_a_request_may_change_at_any_time(tmp_path: Path, section: str) -> None:
    job = plain(tmp_path, rows=3)
    job.spec[section if section != "limit" else "input"] = FREE[section]
    assert not planned(job).refused
    assert job.run().nothing_to_do
    assert posts(job) == 3


@pytest.mark.parametrize(
    "request_", [{"labels": {"team": "a"}}, {"inline_limit": "1MB"}, {"approve": "hold"}], ids=lambda r: next(iter(r))
)
def test_settings_of_the_request_that_are_not_asked_may_change_too(tmp_path: Path, request_: dict[str, Any]) -> None:
    job = plain(tmp_path, rows=3)
    job.spec["request"] = {**PLAIN, **request_}
    assert job.run().nothing_to_do
    assert posts(job) == 3


def test_a_template_that_says_the_same_otherwise_sends_nothing(tmp_path: Path) -> None:
    job = plain(tmp_path, rows=3)
    job.spec["request"] = {**PLAIN, "input": "Answer: {{ question | trim }}"}
    assert not planned(job).refused
    assert job.run().nothing_to_do


def test_a_template_that_changes_some_rows_sends_those_only(tmp_path: Path) -> None:
    job = plain(tmp_path, rows=5)
    job.spec["request"] = {**PLAIN, "input": "Answer: {{ question }}{% if id == 'r3' %} Please.{% endif %}"}
    assert "4 the same, 0 new, 1 changed" in refusal(job)
    assert accepted(job)[0] == 1
    assert [row["key"] for row in job.usage() if row["superseded"]] == ["r3"]


def test_an_edit_of_rows_and_of_the_request_at_once_is_one_question(tmp_path: Path) -> None:
    job = plain(tmp_path, rows=4)
    job.rows[0]["question"] = "Edited?"
    job.rows.append({"id": "new", "question": "New?"})
    job.rows.pop(1)
    job.spec["request"] = {**PLAIN, "input": "Answer: {{ question }}{% if id == 'r3' %} Please.{% endif %}"}
    said = refusal(job)
    assert "1 the same, 1 new, 2 changed, 1 gone" in said
    assert "gone: row 'r1'" in said
    assert accepted(job)[0] == 3


def test_undoing_an_edit_after_it_was_refused_leaves_nothing_to_do(tmp_path: Path) -> None:
    job = plain(tmp_path, rows=2)
    job.spec["request"] = {**PLAIN, "model": "gemini-3.5-flash-lite"}
    refusal(job)
    job.spec["request"] = PLAIN
    assert job.run().nothing_to_do


def test_an_edit_that_is_accepted_and_undone_is_two_payments_and_both_are_told_first(tmp_path: Path) -> None:
    job = plain(tmp_path, rows=2)
    job.spec["request"] = {**PLAIN, "model": "gemini-3.5-flash-lite"}
    assert accepted(job)[0] == 2
    job.spec["request"] = PLAIN
    assert "2 changed" in refusal(job)
    assert accepted(job)[0] == 2


@pytest.mark.parametrize(
    ("change", "said"), [({"name": "other"}, "another job"), ({"input": {"path": "rows.jsonl"}}, "another `input.key`")]
)
def test_another_name_or_key_column_is_another_run_whatever_is_accepted(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    job = plain(tmp_path, rows=2)
    before = job.directory
    job.spec |= change
    options = Options(run_dir=before, emulator=job.settings(), accept_change=True)
    with pytest.raises(SpecError, match=said):
        run(load_job(job.write()), options, job.clock.wall, run_async=job.clock.run)
    assert posts(job) == 2


def test_a_changed_row_in_flight_is_told_and_its_old_answer_is_not_fetched(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3)
    leave_in_flight(job)
    job.rows[1]["question"] = "Something else?"
    assert "in flight: 1 row of these" in refusal(job)
    before = posts(job)
    result = job.run(accept_change=True)
    assert (posts(job) - before, result.summary.succeeded, result.summary.in_flight) == (1, 3, 0)
    assert result.summary.usage["attempts_without_usage"] == 1
    assert [row["state"] for row in job.usage() if row["superseded"]] == ["submitted"]


def test_a_run_without_the_values_of_its_request_names_the_fields_alone(tmp_path: Path) -> None:
    job = plain(tmp_path, rows=2)
    with Reader(job.directory / "run.db") as reader:
        assert json.loads(reader.meta("request_values") or "")["model"] == "gemini-3.5-flash"
    with sqlite3.connect(job.directory / "run.db") as db:
        db.execute("DELETE FROM meta WHERE name = 'request_values'")
    job.spec["request"] = {**PLAIN, "model": "gemini-3.5-flash-lite"}
    assert "\n  request.model changed\n" in refusal(job)


# -- conversations -----------------------------------------------------------------------------------------------------


def talk(where: Path, *turns: str, rows: int = 2, **request: Any) -> Rehearsal:
    asked = {"model": "gemini-3.5-flash", "turns": [{"input": turn} for turn in turns], **request}
    return done(where, rows, request=asked)


def with_turns(job: Rehearsal, *turns: str) -> Rehearsal:
    job.spec["request"]["turns"] = [{"input": turn} for turn in turns]
    return job


FIRST, SECOND, THIRD = "First: {{ question }}", "And then?", "In the end?"


@pytest.mark.parametrize("store", [True, False])
def test_a_changed_second_turn_is_asked_anew_and_the_first_ones_answer_is_kept(tmp_path: Path, store: bool) -> None:
    job = with_turns(talk(tmp_path, FIRST, SECOND, THIRD, store=store), FIRST, "And now?", THIRD)
    said = refusal(job)
    assert "from interaction 2 of its conversation on" in said
    assert 'request.turns[1].input changed: "And then?" → "And now?"' in said
    assert accepted(job)[0] == 2 * 2
    kept = [row["exchange"] for row in job.usage() if not row["superseded"]]
    assert kept == [0, 1, 2] * 2


def test_a_changed_first_turn_begins_the_conversation_anew(tmp_path: Path) -> None:
    job = with_turns(talk(tmp_path, FIRST, SECOND), "Once: {{ question }}", SECOND)
    assert accepted(job)[0] == 4


def test_a_turn_that_is_added_is_all_that_is_sent(tmp_path: Path) -> None:
    job = with_turns(talk(tmp_path, FIRST, SECOND), FIRST, SECOND, THIRD)
    assert "from interaction 3" in refusal(job)
    assert accepted(job)[0] == 2
    assert not any(row["superseded"] for row in job.usage())


def test_a_turn_that_is_taken_away_costs_nothing_and_the_answer_before_it_is_the_rows(tmp_path: Path) -> None:
    job = with_turns(talk(tmp_path, FIRST, SECOND, THIRD), FIRST, SECOND)
    said = refusal(job)
    assert "2 changed" in said
    assert accepted(job)[0] == 0
    assert [row["exchanges"] for row in job.results()] == [2, 2]


def test_a_conversation_that_the_service_has_no_more_begins_anew(tmp_path: Path) -> None:
    job = talk(tmp_path, FIRST, SECOND)
    purge_all(job)
    with_turns(job, FIRST, "And now?")
    assert "from interaction" not in refusal(job)
    assert accepted(job)[0] == 4


# -- files, functions, plans -------------------------------------------------------------------------------------------


def with_files(where: Path, limit: str) -> Rehearsal:
    (where / "a.png").write_bytes(picture(30, 20))
    parts = [{"type": "image", "path": "a.png"}, {"type": "text", "text": "{{ question }}"}]
    return plain(where, rows=2, input=parts, inline_limit=limit)


@pytest.mark.parametrize(("before", "after"), [("8MB", "8MB"), ("8MB", "0kB"), ("0kB", "8MB")])
def test_rows_with_files_are_known_by_the_files_content_however_they_are_sent(
    tmp_path: Path, before: str, after: str
) -> None:
    job = with_files(tmp_path, before)
    job.spec["request"] |= {"inline_limit": after, "labels": {"team": "a"}}
    assert job.run().nothing_to_do
    job.rows[1]["question"] = "Edited?"
    assert "1 the same, 0 new, 1 changed" in refusal(job)
    assert accepted(job)[0] == 1


def test_a_file_that_was_edited_counts_once_something_else_was(tmp_path: Path) -> None:
    job = with_files(tmp_path, "8MB")
    (tmp_path / "a.png").write_bytes(picture(20, 30))
    assert job.run().nothing_to_do
    job.spec["request"] |= {"labels": {"team": "a"}}
    assert "2 changed" in refusal(job)


def test_a_row_that_can_no_longer_be_asked_is_a_changed_row(tmp_path: Path) -> None:
    job = with_files(tmp_path, "8MB")
    (tmp_path / "a.png").unlink()
    job.spec["request"] |= {"labels": {"team": "a"}}
    assert "to send again: 2 rows: about 0 interactions" in refusal(job)


def test_a_changed_row_that_cannot_be_sent_is_named_and_keeps_no_answer_to_another_request(tmp_path: Path) -> None:
    for key in ("r0", "r1"):
        (tmp_path / f"{key}.png").write_bytes(picture(30, 20))
    image = {"type": "image", "path": "{{ id }}.png"}
    job = plain(tmp_path, rows=2, input=[image, {"type": "text", "text": "What is this?"}])
    (tmp_path / "r1.png").unlink()
    job.spec["request"]["input"][-1]["text"] = "What else is there?"
    assert "cannot be sent: 1 row, which would fail and lose the answer: row 'r1': media_missing" in refusal(job)
    assert job.run(accept_change=True).exit_code is Exit.SOME_ROWS_FAILED
    (row,) = [each for each in job.results() if each["key"] == "r1"]
    assert (row["status"], row["error_class"]) == ("failed", "media_missing")
    assert [row[name] for name in ("text", "interaction_id", "model", "prompt_sha")] == [None] * 4
    assert not verify(RunDir(job.directory)).differences


def test_an_edited_column_beside_a_file_that_is_fetched_is_no_other_request(tmp_path: Path) -> None:
    job = plain(tmp_path, rows=2)
    job.spec["request"] |= {
        "input": [{"type": "image", "uri": "https://example.org/{{ id }}.png"}, {"type": "text", "text": "Look."}],
        "fetch": ["example.org"],
    }
    loaded = load_job(job.write())
    with Reader(job.directory / "run.db") as reader, closing(library_of(loaded)) as library:
        comparison = Comparison(loaded, reader, job.directory / "media", library)
        assert comparison.first_changed("r0", job.rows[0]) == 0, "the request is another one"
        comparison.new_request = False
        assert comparison.first_changed("r0", job.rows[0] | {"note": "x"}) is None
        assert comparison.first_changed("r0", job.rows[0] | {"id": "elsewhere"}) == 0


def test_a_plan_that_was_approved_is_asked_the_same_when_it_is_compared(tmp_path: Path) -> None:
    agent = {
        "agent": "deep-research-preview-04-2026",
        "input": "Research {{ question }}",
        "agent_config": {"type": "deep-research", "collaborative_planning": True},
    }
    job = done(tmp_path, 2, request=agent)
    job.spec["request"] = {**agent, "labels": {"team": "a"}}
    assert job.run().nothing_to_do
    assert posts(job) == 4


def test_a_conversation_with_functions_is_asked_the_same_when_it_is_compared(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        'def double(number: int) -> int:\n    """Double it.\n\n    Args:\n        number: What to double.\n    """\n'
        "    return 2 * number\n"
    )
    job = done(tmp_path, 2, request={**PLAIN, "functions": "mine:double"})
    assert posts(job) > 2
    job.spec["request"]["labels"] = {"team": "a"}
    assert job.run().nothing_to_do


def test_the_answer_of_a_run_that_dies_in_the_midst_of_a_change_is_all_or_nothing(tmp_path: Path) -> None:
    job = plain(tmp_path, rows=6)
    job.spec["request"] = {**PLAIN, "model": "gemini-3.5-flash-lite"}
    for commit in (1, 3, 6):
        with death(commit, before=True):
            job.run(accept_change=True)
    result = job.run()
    assert result.exit_code is Exit.OK
    extra = posts(job) - 12
    assert extra <= result.summary.possibly_billed_twice
    assert verify(RunDir(job.directory)).differences == ()


@pytest.mark.parametrize("limit", [None, 3])
def test_a_limit_bounds_what_is_sent_again_now(tmp_path: Path, limit: int | None) -> None:
    job = plain(tmp_path, rows=5)
    job.spec["request"] = {**PLAIN, "model": "gemini-3.5-flash-lite"}
    before = posts(job)
    job.run(accept_change=True, limit=limit)
    assert posts(job) - before == (limit or 5)
    job.run()
    assert posts(job) - before == 5
