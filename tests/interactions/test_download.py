"""Files that an answer names by address: fetched from the service alone, because the key goes with the request."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from batchrun.emulator import EmulatorSettings
from batchrun.errors import StoreError
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Call, NotSent, Reply
from batchrun.interactions.models import Interaction
from batchrun.outputs.media import addresses, complete, media_of
from batchrun.runs.service import emulated_client

KEY = "a-secret-key"


class Recorder(httpx.AsyncBaseTransport):
    """Answers every request, and remembers which there were."""

    def __init__(self, answer: httpx.Response | None = None) -> None:
        self.answer = answer or httpx.Response(200, content=b"file")
        self.seen: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        return self.answer


def fetch(uri: str, path: Path, transport: Recorder, base_url: str = "https://service.example") -> Call:
    return asyncio.run(Client(KEY, base_url=base_url, transport=transport).download(uri, path))


def with_emulator(conversation: Callable[[Client], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        client = emulated_client(EmulatorSettings(), "v1beta")
        try:
            return await conversation(client)
        finally:
            await client.aclose()

    return asyncio.run(run())


def test_a_picture_that_was_asked_for_by_address_becomes_a_file_that_opens(tmp_path: Path) -> None:
    async def conversation(client: Client) -> bytes:
        form = {"type": "image", "delivery": "uri"}
        body = {"model": "gemini-3.1-flash-image", "input": "A cat", "response_format": form}
        created = await client.create(json.dumps(body).encode())
        assert isinstance(created, Reply)
        answer = Interaction.parse(created.body)
        assert answer is not None
        (uri,) = addresses(answer)
        fetched = await client.download(uri, tmp_path / "fetched")
        assert isinstance(fetched, Reply)
        assert (fetched.status, fetched.body) == (200, b"")
        return complete(answer, tmp_path / "media", "cat", {uri: tmp_path / "fetched"}) or b""

    interaction = Interaction.parse(with_emulator(conversation))
    assert interaction is not None
    (medium,) = media_of(interaction)
    with Image.open(tmp_path / "media" / medium.name) as picture:
        assert picture.format == "JPEG"


@pytest.mark.parametrize(
    "uri",
    [
        "https://elsewhere.example/file",
        "http://service.example/file",
        "https://service.example.evil.example/file",
        "https://service.example@evil.example/file",
        "https://service.example\\@evil.example/file",
        "https://service.example/\\..\\file",
        "https://service.example:444/file",
        "https://service.example/file\r\nx: y",
        "//service.example/file",
        "file:///etc/passwd",
        "gs://bucket/file",
        "",
    ],
)
def test_the_key_goes_nowhere_but_to_the_service(tmp_path: Path, uri: str) -> None:
    transport = Recorder()
    assert isinstance(fetch(uri, tmp_path / "file", transport), NotSent)
    assert transport.seen == []
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_fetched_where_the_line_is_open_to_others(tmp_path: Path) -> None:
    transport = Recorder()
    call = fetch("http://service.example/file", tmp_path / "file", transport, base_url="http://service.example")
    assert isinstance(call, NotSent)
    assert transport.seen == []


def test_a_file_is_whole_and_for_the_user_alone(tmp_path: Path) -> None:
    transport = Recorder()
    fetched = fetch("https://service.example/v1beta/files/a:download?alt=media", tmp_path / "file", transport)
    assert isinstance(fetched, Reply)
    assert (tmp_path / "file").read_bytes() == b"file"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert transport.seen[0].headers["x-goog-api-key"] == KEY


@pytest.mark.parametrize("status", [304, 403, 404, 500])
def test_an_answer_that_is_not_the_file_writes_none(tmp_path: Path, status: int) -> None:
    elsewhere = httpx.Response(status, content=b"no", headers={"location": "https://elsewhere.example/file"})
    call = fetch("https://service.example/file", tmp_path / "file", Recorder(elsewhere))
    assert isinstance(call, Reply)
    assert (call.status, call.body) == (status, b"no")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Run the same command again"):
        fetch("https://service.example/file", tmp_path / "missing" / "file", Recorder())
