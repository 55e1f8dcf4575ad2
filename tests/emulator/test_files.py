"""The Files API: uploads in two steps, states, expiry, quota, and files in requests."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchrun.emulator import Emulator, EmulatorSettings
from batchrun.emulator.files.limits import FileLimits
from tests.emulator.in_process import URL, Clock, body, talk

GRANULE = 256 * 1024
CSV = b"name,total\nNorthwind,1190\n"
Talk = Callable[[httpx.AsyncClient, Emulator], Awaitable[Any]]


def told(size: int, mime: str, **more: str) -> dict[str, str]:
    return {
        "x-goog-upload-protocol": "resumable",
        "x-goog-upload-command": "start",
        "x-goog-upload-header-content-length": str(size),
        "x-goog-upload-header-content-type": mime,
        **more,
    }


async def started(client: httpx.AsyncClient, size: int, mime: str = "text/csv", **file: Any) -> httpx.Response:
    return await client.post("/upload/v1beta/files", headers=told(size, mime), json={"file": file})


async def send(url: str, client: httpx.AsyncClient, content: bytes, offset: int, command: str) -> httpx.Response:
    """Step two, without the key."""
    headers = {"x-goog-upload-offset": str(offset), "x-goog-upload-command": command, "x-goog-api-key": ""}
    return await client.post(url, content=content, headers=headers)


async def uploaded(client: httpx.AsyncClient, content: bytes = CSV, mime: str = "text/csv", **file: Any) -> Any:
    start = await started(client, len(content), mime, **file)
    answer = await send(start.headers["x-goog-upload-url"], client, content, 0, "upload, finalize")
    return answer.json()["file"]


def test_an_upload_in_two_steps_makes_a_file() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[httpx.Response]:
        start = await started(client, len(CSV), display_name="totals.csv")
        end = await send(start.headers["x-goog-upload-url"], client, CSV, 0, "upload, finalize")
        return [start, end, await client.get(f"/v1beta/{end.json()['file']['name']}")]

    start, end, got = talk(EmulatorSettings(clock=Clock()), conversation)
    assert start.headers["x-goog-upload-status"] == "active"
    assert end.headers["x-goog-upload-status"] == "final"
    file = end.json()["file"]
    assert got.json() == file
    assert file["displayName"] == "totals.csv"
    assert (file["sizeBytes"], file["mimeType"], file["state"], file["source"]) == (
        "26",
        "text/csv",
        "ACTIVE",
        "UPLOADED",
    )
    assert b64decode(file["sha256Hash"]).decode() == hashlib.sha256(CSV).hexdigest()
    assert (file["createTime"], file["expirationTime"]) == ("2027-01-15T08:00:00Z", "2027-01-17T08:00:00Z")
    assert file["uri"].endswith(f"/v1beta/{file['name']}")


def test_metadata_may_be_in_camel_case_and_name_the_file() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        first = await uploaded(client, name="files/my-totals", displayName="totals")
        again = await started(client, 5, name="my-totals")
        return [first, again.status_code]

    first, again = talk(EmulatorSettings(), conversation)
    assert (first["name"], first["displayName"]) == ("files/my-totals", "totals")
    assert again == 409


def test_chunks_are_put_together_and_a_query_tells_how_far_it_is() -> None:
    content = bytes(range(256)) * (GRANULE // 256) * 2 + b"the end"

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[httpx.Response]:
        url = (await started(client, len(content), "video/mp4")).headers["x-goog-upload-url"]
        first = await send(url, client, content[:GRANULE], 0, "upload")
        asked = await send(url, client, b"", 0, "query")
        again = await send(url, client, content[: 2 * GRANULE], 0, "upload")
        return [first, asked, again, await send(url, client, content[2 * GRANULE :], 2 * GRANULE, "upload, finalize")]

    first, asked, again, last = talk(EmulatorSettings(), conversation)
    received = [answer.headers["x-goog-upload-size-received"] for answer in (first, asked, again)]
    assert received == [str(GRANULE), str(GRANULE), str(2 * GRANULE)]
    assert [answer.headers["x-goog-upload-status"] for answer in (first, again, last)] == ["active", "active", "final"]
    hashed = b64decode(last.json()["file"]["sha256Hash"]).decode()
    assert hashed == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("content", "offset", "command"),
    [
        (b"x" * 10, 5, "upload"),
        (b"x" * 10, 0, "upload"),
        (b"x" * (GRANULE + 1), 0, "upload, finalize"),
        (b"x" * 10, 0, "upload, finalize"),
        (b"x" * 10, 0, "explode"),
    ],
    ids=["a gap", "no whole granules", "too many bytes", "too few bytes", "no such command"],
)
def test_a_chunk_that_does_not_fit_is_refused(content: bytes, offset: int, command: str) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> int:
        url = (await started(client, GRANULE)).headers["x-goog-upload-url"]
        return (await send(url, client, content, offset, command)).status_code

    assert talk(EmulatorSettings(), conversation) == 400


def test_a_cancelled_upload_is_gone() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        url = (await started(client, 10)).headers["x-goog-upload-url"]
        return [
            (await send(url, client, b"", 0, "cancel")).status_code,
            (await send(url, client, b"", 0, "query")).status_code,
        ]

    assert talk(EmulatorSettings(), conversation) == [200, 404]


def test_step_one_needs_a_key_and_the_resumable_protocol() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        headers = told(10, "text/csv")
        calls = [{**headers, "x-goog-api-key": ""}, {**headers, "x-goog-upload-protocol": "multipart"}, headers]
        return [(await client.post("/upload/v1/files", headers=one)).status_code for one in calls]

    assert talk(EmulatorSettings(), conversation) == [403, 400, 200]


def test_a_video_is_processed_for_a_while() -> None:
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        file = await uploaded(client, b"video", "video/mp4")
        block = {"type": "video", "uri": file["uri"], "mime_type": "video/mp4"}
        early = await client.post(URL, json=body(input=[block]))
        clock.now += 5
        return [file["state"], early.status_code, (await client.get(f"/v1/{file['name']}")).json()["state"]]

    settings = EmulatorSettings(clock=clock, files=FileLimits(processing=5))
    assert talk(settings, conversation) == ["PROCESSING", 400, "ACTIVE"]


def test_an_empty_file_fails() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> Any:
        return await uploaded(client, b"")

    file = talk(EmulatorSettings(), conversation)
    assert (file["state"], file["error"]["code"]) == ("FAILED", 3)


def test_files_expire_after_48_hours() -> None:
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        file = await uploaded(client)
        block = {"type": "document", "uri": file["uri"], "mime_type": "text/csv"}
        found = []
        for hours in (47, 1):
            clock.now += hours * 3600
            used = await client.post(URL, json=body(input=[block]))
            got = await client.get(f"/v1beta/{file['name']}")
            listed = (await client.get("/v1beta/files")).json()
            found.append((got.status_code, used.status_code, len(listed.get("files", []))))
        return found

    assert talk(EmulatorSettings(clock=clock), conversation) == [(200, 200, 1), (403, 403, 0)]


def test_quotas_bound_a_file_and_a_project_and_deleting_makes_room() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        statuses = [(await started(client, 101)).status_code]
        files = [await uploaded(client, b"x" * 100), await uploaded(client, b"x" * 100)]
        statuses.append((await started(client, 1)).status_code)
        deleted = await client.delete(f"/v1beta/{files[0]['name']}")
        assert deleted.json() == {}
        statuses.append((await started(client, 100)).status_code)
        return statuses

    settings = EmulatorSettings(files=FileLimits(per_file=100, per_project=200))
    assert talk(settings, conversation) == [400, 429, 200]


def test_the_list_has_pages() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        for number in range(5):
            await uploaded(client, name=f"file-{number}")
        pages, token = [], ""
        while True:
            page = (await client.get("/v1beta/files", params={"pageSize": 2, "pageToken": token})).json()
            pages.append([file["name"] for file in page["files"]])
            if not (token := page.get("nextPageToken", "")):
                return pages

    assert [len(page) for page in talk(EmulatorSettings(), conversation)] == [2, 2, 1]


@pytest.mark.parametrize(
    "params", [{"pageSize": "-1"}, {"pageSize": "x"}, {"pageToken": "nonsense"}, {"pageToken": "ä"}]
)
def test_a_page_that_does_not_exist_is_refused(params: dict[str, str]) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> int:
        return (await client.get("/v1beta/files", params=params)).status_code

    assert talk(EmulatorSettings(), conversation) == 400


def test_an_uploaded_file_is_read_like_an_inline_one() -> None:
    from base64 import b64encode

    from fpdf import FPDF

    pdf = FPDF()
    for _ in range(3):
        pdf.add_page()
    content = bytes(pdf.output())

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        file = await uploaded(client, content, "application/pdf")
        inline = {"type": "document", "data": b64encode(content).decode(), "mime_type": "application/pdf"}
        held = {"type": "document", "uri": file["uri"], "mime_type": "application/pdf"}
        google = {**held, "uri": f"https://generativelanguage.googleapis.com/v1beta/{file['name']}"}
        asked = [body(input=[block], background=None) for block in (inline, held, google)]
        return [(await client.post(URL, json=one)).json()["usage"]["total_input_tokens"] for one in asked]

    assert talk(EmulatorSettings(), conversation) == [774, 774, 774]


def test_a_file_is_used_with_its_own_mime_type() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        uri = (await uploaded(client))["uri"]
        blocks = [
            {"type": "document", "uri": uri, "mime_type": "application/pdf"},
            {"type": "document", "uri": f"{uri}x", "mime_type": "text/csv"},
            {"type": "document", "uri": "https://example.com/v1beta/files/abc", "mime_type": "text/csv"},
        ]
        return [(await client.post(URL, json=body(input=[block]))).status_code for block in blocks]

    assert talk(EmulatorSettings(), conversation) == [400, 403, 200]


def test_files_outlive_a_restart_with_the_state(tmp_path: Path) -> None:
    settings = EmulatorSettings(state=tmp_path / "state.db")

    async def first(client: httpx.AsyncClient, emulator: Emulator) -> Any:
        return await uploaded(client)

    file = talk(settings, first)

    async def second(client: httpx.AsyncClient, emulator: Emulator) -> int:
        block = {"type": "document", "uri": file["uri"], "mime_type": "text/csv"}
        return (await client.post(URL, json=body(input=[block]))).status_code

    assert talk(settings, second) == 200
    assert [path.read_bytes() for path in (tmp_path / "state.db-files").iterdir()] == [CSV]


def test_an_upload_that_breaks_off_keeps_whole_granules() -> None:
    async def run(emulator: Emulator, client: httpx.AsyncClient) -> Any:
        url = (await started(client, GRANULE * 2)).headers["x-goog-upload-url"]
        pieces = [
            {"type": "http.request", "body": b"x" * (GRANULE + 10), "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> Any:
            return pieces.pop(0)

        async def never(message: Any) -> None:
            raise AssertionError(message)

        headers = [(b"x-goog-upload-command", b"upload, finalize"), (b"x-goog-upload-offset", b"0")]
        path, _, query = url.removeprefix("http://emulator").partition("?")
        scope = {"type": "http", "method": "POST", "path": path, "query_string": query.encode(), "headers": headers}
        await emulator.app(scope, receive, never)
        return await send(url, client, b"", 0, "query")

    answer = talk(EmulatorSettings(), lambda client, emulator: run(emulator, client))
    assert answer.headers["x-goog-upload-size-received"] == str(GRANULE)
