"""What the results tell of a row whose answer took several interactions."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pytest

from batchrun.outputs.results import Layout
from batchrun.rows import Outcome

from .conversations import Conversations, interaction, output, records, said, text
from .factories import a_row, an_attempt, an_object, exported


def image(content: bytes = b"pixels", mime_type: str = "image/png") -> dict[str, Any]:
    return {"type": "image", "mime_type": mime_type, "data": b64encode(content).decode()}


def thought(*summary: object) -> dict[str, Any]:
    return {"type": "thought", "signature": "s1g", "summary": list(summary)}


# -- the answer ------------------------------------------------------------------------------------------------------


def test_the_rows_text_is_that_of_its_last_turn(run: Conversations, tmp_path: Path) -> None:
    run.hold(said("first"), said("second"))
    (row,) = run.results(tmp_path)
    assert (row["text"], row["interaction_id"], row["attempts"]) == ("second", "v1_a_2", 2)


def test_attempts_are_all_that_were_made_and_exchanges_those_of_the_conversation(
    run: Conversations, tmp_path: Path
) -> None:
    run.hold(said("calling", "requires_action"), said("bad"), superseded=True, outcome=None)
    assert run.results(tmp_path)[0]["exchanges"] == 0
    run.hold(said("calling", "requires_action"), said("one"), said("two"))
    (row,) = run.results(tmp_path)
    assert (row["attempts"], row["exchanges"]) == (5, 3)


@pytest.mark.parametrize(("state", "exchanges"), [("refused", 0), ("not_sent", 0), ("submitted", 1), ("ambiguous", 1)])
def test_a_post_that_was_not_taken_is_an_attempt_and_no_exchange(
    run: Conversations, tmp_path: Path, state: str, exchanges: int
) -> None:
    run.hold(said("one"), outcome=None)
    run.store.connection.execute("UPDATE attempt SET state = ?", (state,))
    (row,) = run.results(tmp_path)
    assert (row["attempts"], row["exchanges"]) == (1, exchanges)


def test_an_answer_that_was_continued_is_whole_and_fills_its_columns(run: Conversations, tmp_path: Path) -> None:
    run.hold(said('{"total": 1', "requires_continuation"), said("23}"))
    (row,) = run.results(tmp_path, schema=an_object(total="integer"))
    assert (row["text"], row["total"]) == ('{"total": 123}', 123)


def test_the_beginning_of_a_cut_off_answer_is_text_and_no_value(run: Conversations, tmp_path: Path) -> None:
    run.hold(said('{"total": 12}', "incomplete"), outcome=Outcome.INCOMPLETE)
    (row,) = run.results(tmp_path, schema=an_object(total="integer"))
    assert (row["status"], row["text"], row["total"]) == ("incomplete", '{"total": 12}', None)


def test_answers_are_those_of_the_users_turns(run: Conversations, tmp_path: Path) -> None:
    run.hold(said("one"), said("calling", "requires_action"), said("tw", "requires_continuation"), said("o"))
    (row,) = run.results(tmp_path, extras=("answers",))
    assert (row["answers"], row["text"]) == (["one", "two"], "two")


def test_a_conversation_that_is_under_way_tells_the_answers_it_has(run: Conversations, tmp_path: Path) -> None:
    run.hold(said("one"), interaction(status="requires_action"), outcome=None)
    (row,) = run.results(tmp_path, extras=("answers",))
    assert (row["status"], row["answers"], row["text"]) == ("pending", ["one"], None)


def test_answers_are_null_where_it_cannot_be_told_whose_they_are(run: Conversations, tmp_path: Path) -> None:
    run.hold(said("one"), said("two"), superseded=True, outcome=None)
    (row,) = run.results(tmp_path, extras=("answers",))
    assert row["answers"] is None


def test_thoughts_are_the_summaries_behind_the_last_answer(run: Conversations, tmp_path: Path) -> None:
    first = interaction(thought(text("not these")), output(text("one")))
    hop = interaction(thought(text("I read."), image(), text("I count.")), output(text("tw")))
    rest = interaction(thought(text("I sum.")), {"type": "thought", "summary": "odd"}, output(text("o")))
    run.hold(first, {**hop, "status": "requires_continuation"}, rest)
    (row,) = run.results(tmp_path, extras=("thoughts",))
    assert (row["thoughts"], row["text"]) == ("I read.\n\nI count.\n\nI sum.", "two")


def test_thoughts_are_null_where_there_are_none(run: Conversations, tmp_path: Path) -> None:
    run.hold(said("fine"))
    assert run.results(tmp_path, extras=("thoughts",))[0]["thoughts"] is None


@pytest.mark.parametrize(("told", "found"), [("7c1f", "7c1f"), ({"type": "remote"}, None), (None, None)])
def test_an_agents_sandbox_is_named(run: Conversations, tmp_path: Path, told: object, found: str | None) -> None:
    run.hold(interaction(output(text("done")), environment_id=told))
    assert run.results(tmp_path, extras=("environment_id",))[0]["environment_id"] == found


def test_a_column_that_the_job_does_not_ask_for_is_free_for_its_answers() -> None:
    schema = an_object(thoughts="string", answers="string", media="string")
    assert [f.column for f in Layout.of(schema, {}).answer.fields] == ["thoughts", "answers", "output_media"]
    with_thoughts = Layout.of(schema, {}, ("thoughts",)).answer.fields
    assert [f.column for f in with_thoughts] == ["output_thoughts", "answers", "output_media"]


# -- media -----------------------------------------------------------------------------------------------------------


def test_media_are_listed_with_paths_that_lead_to_them_from_the_results_file(run: Conversations) -> None:
    run.hold(
        said("calling", "requires_action"),
        interaction(output(text("a sketch"), image(b"sketch"))),
        interaction(thought(image(b"draft")), output(image(b"final", "image/jpeg"))),
    )
    (row,) = run.results(run.path.parent)
    assert [(m["exchange"], m["turn"], m["found_in"], m["mime_type"], m["bytes"]) for m in row["media"]] == [
        (1, 0, "model_output", "image/png", 6),
        (2, 1, "thought", "image/png", 5),
        (2, 1, "model_output", "image/jpeg", 5),
    ]
    for medium in row["media"]:
        content = (run.path.parent / medium["path"]).read_bytes()
        assert sha256(content).hexdigest() == medium["sha256"]


def test_a_row_without_media_has_none(run: Conversations, tmp_path: Path) -> None:
    run.hold(said('the word "sha256" is no medium'))
    paths = run.export(tmp_path / "out")
    assert records(paths["results"])[0]["media"] is None
    assert "media" not in paths
    assert not (tmp_path / "out" / "media").exists()


def test_an_output_directory_elsewhere_has_the_media_too(run: Conversations, tmp_path: Path) -> None:
    run.hold(interaction(output(image(b"one"), image(b"two"))))
    (row,) = run.results(tmp_path / "elsewhere")
    assert [(tmp_path / "elsewhere" / m["path"]).read_bytes() for m in row["media"]] == [b"one", b"two"]
    assert len(list(run.media.iterdir())) == 2


def test_media_are_copied_where_they_cannot_be_linked(run: Conversations, tmp_path: Path) -> None:
    run.hold(interaction(output(image(b"one"))))
    here, places = tmp_path.stat().st_dev, filter(os.path.isdir, ("/dev/shm", "/var/tmp"))
    others = [place for place in places if os.stat(place).st_dev != here]
    if not others:
        pytest.skip("needs another file system")
    with TemporaryDirectory(dir=others[0]) as elsewhere:
        (row,) = run.results(Path(elsewhere))
        copy = Path(elsewhere) / row["media"][0]["path"]
        assert copy.read_bytes() == b"one"
        assert copy.stat().st_nlink == 1


def test_a_medium_that_the_user_deleted_does_not_stop_an_export(run: Conversations, tmp_path: Path) -> None:
    run.hold(interaction(output(image(b"one"))))
    next(run.media.iterdir()).unlink()
    (row,) = run.results(tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere" / row["media"][0]["path"]).exists()


def test_what_a_killed_writer_left_among_the_media_is_removed(run: Conversations, tmp_path: Path) -> None:
    run.hold(interaction(output(image(b"one"))))
    (run.media / ".a-0123456789ab.png.x1y2.tmp").write_bytes(b"torn")
    run.export(tmp_path)
    assert [path.suffix for path in run.media.iterdir()] == [".png"]


def test_the_checkpoint_does_not_hold_the_media_themselves(run: Conversations) -> None:
    content = os.urandom(300_000)
    run.hold(interaction(output(image(content))))
    run.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert run.path.stat().st_size < 150_000


# -- other files -----------------------------------------------------------------------------------------------------


def test_json_lines_tell_the_same(run: Conversations, tmp_path: Path) -> None:
    run.hold(said("one"), interaction(output(text("two"), image())))
    path = run.export(tmp_path, jsonl=True, extras=("answers",))["results_jsonl"]
    record = json.loads(path.read_text())
    assert record["answers"] == ["one", "two"]
    assert record["media"][0]["path"].startswith("media/a-")
    assert record["media"][0] == run.results(tmp_path)[0]["media"][0]


@pytest.mark.parametrize(
    ("outcome", "listed"),
    [
        (Outcome.INCOMPLETE, True),
        (Outcome.BLOCKED, True),
        (Outcome.AWAITING_APPROVAL, False),
        (Outcome.AMBIGUOUS, False),
    ],
)
def test_failed_jsonl_has_what_may_be_run_again(
    run: Conversations, tmp_path: Path, outcome: Outcome, listed: bool
) -> None:
    run.hold(said("so far"), outcome=outcome)
    assert run.export(tmp_path)["failed"].read_text() == ('{"id":"a"}\n' if listed else "")


def test_the_steps_of_every_answered_attempt_are_told_and_replaced_ones_marked(
    run: Conversations, tmp_path: Path
) -> None:
    run.hold(said("bad"), superseded=True, outcome=None)
    run.hold(interaction(thought(text("hm")), output(text("good"), image())))
    lines = [json.loads(line) for line in run.export(tmp_path, steps=True)["steps"].read_text().splitlines()]
    about = [
        (line["attempt"], line["exchange"], line["superseded"], line["index"], line["step"]["type"]) for line in lines
    ]
    assert about == [
        (1, 0, True, 0, "model_output"),
        (2, 0, False, 0, "thought"),
        (2, 0, False, 1, "model_output"),
    ]
    assert {line["key"] for line in lines} == {"a"}
    assert [line["interaction_id"] for line in lines] == ["v1_a_1", "v1_a_2", "v1_a_2"]
    assert lines[2]["step"]["content"][1]["data"]["file"].startswith("a-")


def test_the_queries_of_searches_are_counted_for_each_attempt(run: Conversations, tmp_path: Path) -> None:
    search = {"type": "google_search_call", "id": "c", "arguments": {"queries": ["tea", "چای"]}}
    odd = {"type": "google_search_call", "arguments": "odd"}
    run.hold(interaction(search, output(text("one"))), interaction(search, search, odd, output(text("two"))), said("3"))
    usage = records(run.export(tmp_path, searches=True)["usage"])
    assert [record["search_queries"] for record in usage] == [2, 4, 0]
    not_looked_at = records(run.export(tmp_path)["usage"])
    assert [record["search_queries"] for record in not_looked_at] == [None, None, None]


def test_the_same_conversations_make_the_same_bytes(run: Conversations, tmp_path: Path) -> None:
    run.hold(interaction(output(text("see", {"type": "url_citation", "end_index": 3}), image())), said("two"))
    wanted: dict[str, Any] = {"jsonl": True, "steps": True, "citations": True, "searches": True}
    names = run.export(tmp_path / "one", **wanted, extras=("thoughts", "answers", "environment_id"))
    run.export(tmp_path / "two", **wanted, extras=("thoughts", "answers", "environment_id"))
    assert sorted(names) == ["citations", "failed", "media", "results", "results_jsonl", "steps", "usage"]
    for path in (tmp_path / "one").iterdir():
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_media_have_a_type_that_queries_can_rely_on_even_if_there_are_none(run: Conversations, tmp_path: Path) -> None:
    column = pq.read_schema(run.export(tmp_path)["results"]).field("media").type.value_type
    assert [column.field(n).name for n in range(column.num_fields)] == [
        "path", "type", "mime_type", "bytes", "sha256", "exchange", "turn", "found_in",
    ]  # fmt: skip


def test_files_are_listed_with_the_exchange_and_the_turn_that_sent_them(tmp_path: Path) -> None:
    page = {"file": "a.pdf", "block": 1, "type": "document", "bytes": 9, "sent": "inline", "pages": [2, 3], "of": 7}
    answer = an_attempt({}, exchange=2, turn=1, files=({**page, "pages": None, "of": None},))
    earlier = an_attempt({}, files=(page,)), an_attempt({}, exchange=1)
    (row,) = exported(tmp_path, [a_row(attempt=answer, earlier=earlier)], extras=("files",))
    told = [(f["file"], f["exchange"], f["turn"], f["first_page"], f["last_page"], f["pages"]) for f in row["files"]]
    assert told == [("a.pdf", 0, 0, 2, 3, 7), ("a.pdf", 2, 1, None, None, None)]
