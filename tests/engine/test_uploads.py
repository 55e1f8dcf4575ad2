"""A file goes up once, however many rows, runs and jobs need it and whatever breaks on the way."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchrun.emulator.files.limits import FileLimits
from batchrun.engine import transfer, uploads
from batchrun.engine.steering import Steering
from batchrun.engine.transfer import Source
from batchrun.engine.uploads import Uploads
from batchrun.errors import CredentialError, RefusedError, RowError, RunError
from batchrun.store.files import Upload
from tests.engine.uploading import MIB, Fault, World

HOUR = 3600.0
LAST = "upload, finalize"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of one MiB, so that files of a few are sent in several."""
    monkeypatch.setattr(transfer, "CHUNK", MIB)


def bring(source: Source) -> Any:
    async def act(uploads: Uploads) -> Upload:
        return await uploads.bring(source)

    return act


def error(status: int, code: str, message: str = "no", **headers: str) -> httpx.Response:
    body = {"error": {"code": status, "status": code, "message": message}}
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(json.dumps(body).encode()))


def test_a_large_file_is_sent_in_chunks_and_can_be_referred_to(world: World) -> None:
    source = world.source(2 * MIB + 500)
    upload = world.life(bring(source))
    assert world.calls == ["start", "upload", "upload", LAST]
    (file,) = world.files()
    assert file["content"] == source.sha256
    assert (file["mime_type"], file["display_name"]) == ("image/png", "a.png")
    assert upload.uri == f"http://localhost/v1beta/files/{file['id']}"
    assert upload.expires_at == pytest.approx(world.clock.wall() + 48 * HOUR, abs=2)


def test_step_two_goes_without_the_key_and_no_call_has_it_in_its_address(world: World) -> None:
    world.life(bring(world.source()))
    assert world.line is not None
    keyed = {seen.kind: "x-goog-api-key" in seen.headers for seen in world.line.seen}
    assert keyed == {"start": True, LAST: False}
    assert all("a-secret-key" not in seen.url for seen in world.line.seen)
    assert b"a-secret-key" not in b"".join(path.read_bytes() for path in world.state.iterdir())


def test_rows_that_need_the_same_file_at_once_make_one_upload(world: World) -> None:
    source = world.source(2 * MIB)

    async def act(uploads: Uploads) -> list[Upload]:
        return await asyncio.gather(*(uploads.bring(source) for _ in range(100)))

    assert len(set(world.life(act))) == 1
    assert world.calls == ["start", "upload", LAST]


def test_a_later_run_uses_the_file_after_a_look_and_another_copy_of_it_too(world: World) -> None:
    first = world.life(bring(world.source()))
    copy = world.source(name="copy.png")
    assert world.life(bring(copy)).name == first.name
    assert world.calls == ["GET"]
    assert len(world.files()) == 1


def test_another_key_and_another_type_are_other_uploads(world: World) -> None:
    names = {
        world.life(bring(world.source())).name,
        world.life(bring(world.source()), key="another-key").name,
        world.life(bring(world.source(mime="image/bmp"))).name,
    }
    assert len(names) == 3 == len(world.files())


@pytest.mark.parametrize(
    ("faults", "again"),
    [
        ({("start", 1): "lost"}, ["start", "start", "upload", "upload", LAST]),
        ({("upload", 1): "lost"}, ["start", "upload", "query", "upload", "upload", LAST]),
        ({("upload", 2): "answer lost"}, ["start", "upload", "upload", "query", LAST]),
        ({(LAST, 1): "lost"}, ["start", "upload", "upload", LAST, "query", LAST]),
        ({(LAST, 1): "answer lost"}, ["start", "upload", "upload", LAST, "query", "GET"]),
        ({("upload", 1): error(503, "UNAVAILABLE")}, ["start", "upload", "query", "upload", "upload", LAST]),
    ],
    ids=["start", "chunk", "chunk's answer", "last chunk", "last answer", "overloaded"],
)  # fmt: skip
def test_an_upload_goes_on_where_the_line_broke(
    world: World, faults: dict[tuple[str, int], Fault], again: list[str]
) -> None:
    source = world.source(2 * MIB + 500)
    world.life(bring(source), faults)
    assert world.calls == again
    (file,) = world.files()
    assert file["content"] == source.sha256


def test_a_start_whose_answer_was_lost_is_made_under_another_name(world: World) -> None:
    source = world.source()
    world.life(bring(source), {("start", 1): "answer lost"})
    assert world.calls == ["start", "start", "start", LAST]
    assert [file["content"] for file in world.files()] == [source.sha256]


@pytest.mark.parametrize("call", [("upload", 1), ("upload", 2), (LAST, 1)], ids=["first", "second", "last"])
@pytest.mark.parametrize("death", ["dies before", "dies after"])
def test_a_new_process_goes_on_where_the_last_one_died(world: World, call: tuple[str, int], death: str) -> None:
    source = world.source(2 * MIB + 500)
    with pytest.raises(asyncio.CancelledError):
        world.life(bring(source), {call: death})
    assert world.calls[-1] == call[0]
    world.life(bring(source))
    assert world.calls[0] == "query"
    assert "start" not in world.calls
    sent_again = world.calls.count("upload") + world.calls.count(LAST)
    assert sent_again == {"upload": 4 - call[1], LAST: 1}[call[0]] - (death == "dies after")
    assert [file["content"] for file in world.files()] == [source.sha256]


def test_a_session_that_the_service_has_forgotten_is_begun_anew(world: World) -> None:
    source = world.source(2 * MIB)
    faults: dict[tuple[str, int], Fault] = {("upload", 1): "lost", ("query", 1): error(404, "NOT_FOUND")}
    world.life(bring(source), faults)
    assert world.calls == ["start", "upload", "query", "start", "upload", LAST]
    assert [file["content"] for file in world.files()] == [source.sha256]


def test_the_service_s_own_delay_is_honoured(world: World) -> None:
    faults: dict[tuple[str, int], Fault] = {("start", 1): error(429, "RESOURCE_EXHAUSTED", **{"retry-after": "77"})}
    world.life(bring(world.source()), faults)
    assert world.clock.now >= 77


def test_a_service_that_never_takes_it_stops_the_run_after_the_retries(world: World) -> None:
    faults: dict[tuple[str, int], Fault] = {("start", n): error(503, "UNAVAILABLE") for n in range(1, 30)}
    with pytest.raises(RefusedError, match=r"Rows stay pending"):
        world.life(bring(world.source()), faults)
    assert world.calls == ["start"] * 8


def test_tries_that_get_further_are_not_counted(world: World) -> None:
    faults: dict[tuple[str, int], Fault] = {("upload", n): "answer lost" for n in range(1, 30)}
    source = world.source(20 * MIB)
    world.life(bring(source), faults)
    assert [file["content"] for file in world.files()] == [source.sha256]


def test_a_key_that_is_not_accepted_stops_the_run(tmp_path: Path) -> None:
    world = World(tmp_path, bad_keys=frozenset({"a-secret-key"}))
    with pytest.raises(CredentialError):
        world.life(bring(world.source()))


@pytest.mark.parametrize(
    "address",
    ["http://elsewhere/upload", "https://evil.example/upload", "ftp://localhost/", "http://localhost:81/", ""],
)  # fmt: skip
def test_bytes_go_to_no_other_host(world: World, address: str) -> None:
    def mislead(answer: httpx.Response) -> httpx.Response:
        answer.headers["x-goog-upload-url"] = address
        return answer

    with pytest.raises(RunError, match="another host"):
        world.life(bring(world.source()), {("start", 1): mislead})
    assert world.calls == ["start"]


@pytest.mark.parametrize(("hours", "calls"), [(46.0, ["GET"]), (47.5, ["start", LAST])])
def test_a_file_that_would_not_outlive_the_row_is_uploaded_anew(world: World, hours: float, calls: list[str]) -> None:
    world.life(bring(world.source()))
    world.clock.now += hours * HOUR
    world.life(bring(world.source()))
    assert world.calls == calls


def test_a_long_deadline_asks_for_a_longer_life(world: World) -> None:
    world.life(bring(world.source()))
    world.clock.now += 40 * HOUR
    world.life(bring(world.source()), deadline=10 * HOUR)
    assert world.calls == ["start", LAST]


def test_a_file_that_expires_while_the_run_goes_on_is_uploaded_anew(world: World) -> None:
    source = world.source()

    async def act(uploads: Uploads) -> tuple[Upload, Upload]:
        first = await uploads.bring(source)
        await asyncio.sleep(47.5 * HOUR)
        return first, await uploads.bring(source)

    first, second = world.life(act)
    assert first.name != second.name


def test_a_file_that_was_deleted_at_the_service_is_uploaded_again(world: World) -> None:
    first = world.life(bring(world.source()))
    faults: dict[tuple[str, int], Fault] = {("GET", 1): error(403, "PERMISSION_DENIED")}
    again = world.life(bring(world.source()), faults)
    assert world.calls == ["GET", "start", LAST]
    assert again.name != first.name


def test_a_video_is_waited_for_until_it_is_processed(tmp_path: Path) -> None:
    world = World(tmp_path, files=FileLimits(processing=100.0))
    world.life(bring(world.source(mime="video/mp4")))
    assert world.clock.now >= 100
    assert 5 < world.calls.count("GET") < 20


def test_a_video_that_is_never_processed_fails_the_row(tmp_path: Path) -> None:
    world = World(tmp_path, files=FileLimits(processing=1e9))
    with pytest.raises(RowError, match="still PROCESSING") as caught:
        world.life(bring(world.source(mime="video/mp4")), deadline=600)
    assert caught.value.kind == "upload_failed"


def test_a_file_that_the_service_cannot_process_fails_the_row_and_is_forgotten(world: World) -> None:
    def failed(answer: httpx.Response) -> httpx.Response:
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        body = {
            "name": "files/x",
            "uri": "http://localhost/v1beta/files/x",
            "state": "FAILED",
            "error": {"message": "bad"},
        }
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps({"file": body}).encode()))

    with pytest.raises(RowError, match="cannot process it: bad") as caught:
        world.life(bring(world.source()), {(LAST, 1): failed})
    assert caught.value.kind == "upload_failed"
    world.life(bring(world.source()))
    assert world.calls == ["start", LAST]


def test_a_file_that_the_service_refuses_fails_the_row(tmp_path: Path) -> None:
    world = World(tmp_path, files=FileLimits(per_file=10))
    with pytest.raises(RowError, match="a file is at most 10 bytes") as caught:
        world.life(bring(world.source()))
    assert caught.value.kind == "upload_failed"


def test_the_room_of_the_project_is_kept_count_of(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_BYTES_OF_PROJECT", 2500)
    world.life(bring(world.source(name="a.png", fill=b"a")))
    world.life(bring(world.source(name="b.png", fill=b"b")))
    with pytest.raises(RowError, match="batchrun files clean") as caught:
        world.life(bring(world.source(name="c.png", fill=b"c")))
    assert caught.value.kind == "files_full"
    assert world.calls == []
    world.life(bring(world.source(name="a.png")))
    world.clock.now += 49 * HOUR
    world.life(bring(world.source(name="c.png")))


def test_the_service_s_word_that_it_is_full_fails_the_row_at_once(tmp_path: Path) -> None:
    world = World(tmp_path, files=FileLimits(per_project=10))
    with pytest.raises(RowError, match="batchrun files clean") as caught:
        world.life(bring(world.source()))
    assert caught.value.kind == "files_full"
    assert world.calls == ["start"]


@pytest.mark.parametrize("seen", [True, False], ids=["by its time", "by its content"])
def test_a_file_that_changed_after_it_was_hashed_is_never_completed(world: World, seen: bool) -> None:
    source = world.source(2 * MIB)
    path = world.where / "a.png"
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[MIB + 7] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + seen))
    with pytest.raises(RowError) as caught:
        world.life(bring(source))
    assert caught.value.kind == "media_changed"
    assert LAST not in world.calls
    assert world.files() == []


def test_no_upload_begins_in_a_pause(world: World) -> None:
    steering = Steering()
    steering.pause()

    async def act(uploads: Uploads) -> Upload:
        asyncio.get_running_loop().call_later(60, steering.resume)
        return await uploads.bring(world.source())

    began = world.clock.now
    assert world.life(act, steering=steering).uri
    assert world.clock.now >= began + 60
