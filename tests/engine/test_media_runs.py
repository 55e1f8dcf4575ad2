"""Rows with files, from the job file to the service: inline or uploaded, once for all, again where it is needed."""

from __future__ import annotations

import json
import sqlite3
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from batchrun.engine.events import Event, Posted
from batchrun.engine.media import Media
from batchrun.engine.request import Draft, Request
from batchrun.engine.uploads import Uploads
from batchrun.errors import Exit
from batchrun.inputs.media import Library
from batchrun.interactions.fetching import Fetcher
from batchrun.runs.directory import RunDir
from batchrun.runs.run import retry
from batchrun.spec.blocks import MediaRef
from batchrun.spec.load import load_job
from tests.emulator.media_files import pdf, picture, wav
from tests.engine.uploading import World
from tests.rehearsal import Rehearsal

TEXT = {"type": "text", "text": "Answer: {{ question }}"}


def job(where: Path, *parts: dict[str, Any], rows: int = 3, **request: Any) -> Rehearsal:
    """A job whose prompt has these parts before its question."""
    rehearsal = Rehearsal(where, rows, request={"input": [*parts, TEXT], **request})
    (where / "scans").mkdir()
    (where / "scans" / "b.png").write_bytes(picture(30, 20))
    (where / "scans" / "a.png").write_bytes(picture(20, 30))
    (where / "speech.wav").write_bytes(wav(2))
    (where / "letter.pdf").write_bytes(pdf("one", "two", "three"))
    (where / "notes.md").write_text("# Notes")
    return rehearsal


def sent(rehearsal: Rehearsal) -> list[list[dict[str, Any]]]:
    """The content blocks of every request that the service took."""
    with sqlite3.connect(rehearsal.where / "emulator.db") as connection:
        return [json.loads(body)["input"] for (body,) in connection.execute("SELECT request FROM interactions")]


def files(rehearsal: Rehearsal) -> int:
    """Complete files at the service."""
    with sqlite3.connect(rehearsal.where / "emulator.db") as connection:
        return int(connection.execute("SELECT count(*) FROM files WHERE finished IS NOT NULL").fetchone()[0])


def test_small_files_of_every_kind_go_inside_the_request(tmp_path: Path) -> None:
    rehearsal = job(
        tmp_path,
        {"type": "image", "path": "scans/*.png"},
        {"type": "audio", "path": "speech.wav"},
        {"type": "document", "path": "letter.pdf", "pages": "1,3"},
        {"type": "document", "path": "notes.md"},
        rows=1,
    )
    assert rehearsal.run().exit_code is Exit.OK
    (blocks,) = sent(rehearsal)
    assert [block["type"] for block in blocks] == ["image", "image", "audio", "document", "document", "text", "text"]
    assert all("data" in block for block in blocks[:5])
    assert [block["processing"]["page_options"]["end_page"] for block in blocks[3:5]] == [1, 3]
    assert blocks[5]["text"] == "# Notes"
    assert files(rehearsal) == 0


def test_rows_that_share_a_large_file_share_its_upload(tmp_path: Path) -> None:
    rehearsal = job(tmp_path, {"type": "audio", "path": "speech.wav"}, rows=100, inline_limit=1000)
    assert rehearsal.run().exit_code is Exit.OK
    uris = {block["uri"] for blocks in sent(rehearsal) for block in blocks if block["type"] == "audio"}
    assert len(uris) == 1 == files(rehearsal)
    assert len(rehearsal.billed()) == 100


def test_a_run_that_goes_on_later_uses_what_was_uploaded(tmp_path: Path) -> None:
    rehearsal = job(tmp_path, {"type": "audio", "path": "speech.wav"}, inline_limit=0)
    rehearsal.run(limit=1)
    rehearsal.run()
    assert files(rehearsal) == 1
    rehearsal.clock.now += 48 * 3600
    rehearsal.rows.append({"id": "late", "question": "And now?"})
    assert rehearsal.run().exit_code is Exit.OK
    assert len({block["uri"] for blocks in sent(rehearsal) for block in blocks if block["type"] == "audio"}) == 2


def test_a_video_is_sent_once_it_is_processed(tmp_path: Path) -> None:
    (tmp_path / "v.avi").write_bytes(b"RIFF\0\0\0\0AVI LIST" + b"\0" * 5000)
    rehearsal = job(tmp_path, {"type": "video", "path": "v.avi"}, inline_limit="1kB")
    result = rehearsal.run()
    assert result.exit_code is Exit.OK
    assert {block["mime_type"] for blocks in sent(rehearsal) for block in blocks if "uri" in block} == {"video/avi"}


def test_a_file_that_vanishes_at_the_service_is_uploaded_again(tmp_path: Path) -> None:
    rehearsal = job(tmp_path, {"type": "audio", "path": "speech.wav"}, rows=6, inline_limit=0)
    rehearsal.spec["limits"] = {"posts": 1, "in_flight": 1}

    def delete(event: Event) -> None:
        if isinstance(event, Posted) and event.key == "r2":
            with sqlite3.connect(tmp_path / "emulator.db") as connection:
                connection.execute("DELETE FROM files")

    result = rehearsal.run(observe=delete)
    assert result.exit_code is Exit.OK
    assert result.summary.succeeded == 6
    assert files(rehearsal) == 1
    assert len(rehearsal.billed()) == 6
    assert [line["status"] for line in rehearsal.ledger()].count(403) == 1


def test_a_file_of_the_users_that_is_gone_at_the_service_fails_its_row_alone(tmp_path: Path) -> None:
    gone = "https://generativelanguage.googleapis.com/v1beta/files/abc"
    rehearsal = Rehearsal(tmp_path, 5, request={"input": [TEXT]})
    rehearsal.rows[2]["request"] = {"input": [{"type": "document", "uri": gone, "mime_type": "application/pdf"}, TEXT]}
    result = rehearsal.run()
    assert result.exit_code is Exit.SOME_ROWS_FAILED
    assert (result.summary.succeeded, result.summary.errors) == (4, {"permission_denied": 1})
    assert len(rehearsal.billed()) == 4


def test_a_refusal_that_is_not_about_a_file_stops_the_run_as_ever(tmp_path: Path) -> None:
    rehearsal = job(tmp_path, {"type": "audio", "path": "speech.wav"}, inline_limit=0)
    result = rehearsal.run(faults="key_revoked:1.0")
    assert result.exit_code is Exit.CREDENTIALS
    assert files(rehearsal) == 1


def test_a_row_whose_files_cannot_be_sent_fails_before_its_post_and_the_others_go_on(tmp_path: Path) -> None:
    rehearsal = job(tmp_path, {"type": "image", "path": "{{ file }}"}, rows=5)
    paths = ["scans/*.png", "scans/*.jpg", "../*", "notes.md", "scans/a.png"]
    rehearsal.rows = [{**row, "file": path} for row, path in zip(rehearsal.rows, paths, strict=True)]
    rehearsal.run()
    errors = [row["error_class"] for row in rehearsal.results()]
    assert errors == [None, "media_missing", "media_forbidden", "media_type", None]
    assert len(rehearsal.ledger()) == 2
    (tmp_path / "scans" / "new.jpg").write_bytes(picture(10, 10, "JPEG"))
    loaded = load_job(rehearsal.write())
    retry(loaded, RunDir(rehearsal.directory), ["failed"], ["r1"], rehearsal.clock.wall())
    rehearsal.run()
    assert rehearsal.results()[1]["status"] == "succeeded"


def test_a_part_that_names_an_uploaded_file_is_passed_on_untouched(tmp_path: Path) -> None:
    uri = "https://generativelanguage.googleapis.com/v1beta/files/mine"
    rehearsal = job(tmp_path, {"type": "document", "uri": uri, "mime_type": "application/pdf"}, rows=1)
    rehearsal.run()
    assert files(rehearsal) == 0
    assert not (rehearsal.directory / "files.db").exists()


def test_a_fetch_from_this_machine_is_refused_and_nothing_is_sent(tmp_path: Path) -> None:
    rehearsal = job(tmp_path, {"type": "image", "uri": "https://127.0.0.1:9/a.png"}, rows=1, fetch=["127.0.0.1"])
    rehearsal.run()
    assert [row["error_class"] for row in rehearsal.results()] == ["fetch_refused"]
    assert rehearsal.ledger() == []
    assert list(rehearsal.directory.glob("fetched-*")) == []


@pytest.mark.parametrize("limit", [0, 10**9], ids=["uploaded", "inline"])
def test_show_knows_the_request_that_was_sent_however_it_was_sent(tmp_path: Path, limit: int) -> None:
    from batchrun.reports.rows import row_document
    from batchrun.store.reader import Reader

    rehearsal = job(tmp_path, {"type": "audio", "path": "speech.wav"}, rows=1, inline_limit=limit)
    rehearsal.run()
    loaded = load_job(rehearsal.write())
    with Reader(RunDir(rehearsal.directory).checkpoint) as reader:
        before = row_document(loaded, reader, "r0")
        (tmp_path / "speech.wav").write_bytes(wav(3))
        after = row_document(loaded, reader, "r0")
    assert not before["request_differs_from_the_one_sent"]
    assert after["request_differs_from_the_one_sent"]
    assert len(json.dumps(before)) < 20_000


@pytest.mark.parametrize("limit", [0, 10**9], ids=["uploaded", "inline"])
def test_a_fetched_file_is_sent_like_a_local_one_and_its_copy_is_removed(tmp_path: Path, limit: int) -> None:
    content, url = picture(40, 30), "https://files.example/a.png"

    class Fetching(Fetcher):
        async def fetch(self, url: str, into: Path) -> None:
            into.write_bytes(content)

    world = World(tmp_path)
    draft = Draft({"input": [MediaRef("image", url, fetched=True), {"type": "text", "text": "?"}]}, {})

    async def act(uploads: Uploads) -> Request:
        media = Media(Library(tmp_path, tmp_path), limit, uploads, Fetching(frozenset()), tmp_path)
        ready = await media.ready(draft)
        assert bool(list(tmp_path.glob("fetched-*"))) == bool(limit)
        return await media.finished(ready)

    made = world.life(act)
    assert list(tmp_path.glob("fetched-*")) == []
    assert made.media[0]["file"] == url
    assert made.media[0]["sha256"] == sha256(content).hexdigest()
    assert len(world.files()) == (limit == 0)
