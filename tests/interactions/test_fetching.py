"""batchrun fetches from listed hosts over TLS, from public addresses only, and writes what it gets to disk."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from batchrun.errors import RowError
from batchrun.interactions.fetching import Fetcher, is_public

#: A self-signed certificate of localhost for these tests, with its key.
PEM = Path(__file__).with_name("localhost.pem")
PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 100_000


class Server:
    """A TLS server on this machine that answers each path as told, and remembers what it was asked."""

    def __init__(self, answers: dict[str, list[bytes]]) -> None:
        self.answers, self.asked, self.connections, self.url = answers, list[bytes](), 0, ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head)
        answers = self.answers[head.split()[1].decode()]
        said = answers.pop(0) if len(answers) > 1 else answers[0]
        writer.write(said.replace(b"HERE", self.url.encode()))
        await writer.drain()
        writer.close()


def reply(content: bytes = PNG, status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def redirect(where: str) -> bytes:
    return reply(b"", "302 Found", Location=where)


def anywhere(_address: str) -> bool:
    return True


def fetched(
    server: Server, into: Path, path: str = "/a.png", host: str = "localhost", **options: Any
) -> Exception | None:
    """Fetch one path; the error, or None."""

    async def run() -> Exception | None:
        theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        theirs.load_cert_chain(PEM)
        listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=theirs)
        port = listener.sockets[0].getsockname()[1]
        server.url = f"https://{host}:{port}"
        settings = {"allowed": anywhere, "trust": ssl.create_default_context(cafile=PEM), "pause": 0.0, **options}
        fetcher = Fetcher(frozenset({"localhost"}), **settings)
        try:
            return await attempt(lambda: fetcher.fetch(server.url + path, into))
        finally:
            await fetcher.aclose()
            listener.close()

    return asyncio.run(run())


async def attempt(call: Callable[[], Awaitable[None]]) -> Exception | None:
    try:
        await call()
    except RowError as error:
        return error
    return None


def kind(error: Exception | None) -> str | None:
    return error.kind if isinstance(error, RowError) else None


def test_a_file_is_fetched_whole_and_told_nothing(tmp_path: Path) -> None:
    server = Server({"/a.png": [reply()]})
    assert fetched(server, tmp_path / "copy") is None
    assert (tmp_path / "copy").read_bytes() == PNG
    assert b"goog" not in server.asked[0].lower()
    assert b"cookie" not in server.asked[0].lower()


def test_addresses_of_this_machine_are_not_connected_to(tmp_path: Path) -> None:
    server = Server({"/a.png": [reply()]})
    error = fetched(server, tmp_path / "copy", allowed=is_public)
    assert kind(error) == "fetch_refused"
    assert "no address of the open internet" in str(error)
    assert server.connections == 0
    assert kind(fetched(server, tmp_path / "copy", host="127.0.0.1")) == "fetch_refused"
    assert server.connections == 0


def test_a_server_without_a_certificate_that_is_trusted_is_not_asked(tmp_path: Path) -> None:
    server = Server({"/a.png": [reply()]})
    assert kind(fetched(server, tmp_path / "copy", trust=None)) == "fetch_failed"
    assert server.asked == []


def test_a_redirect_is_followed_on_the_same_host_only(tmp_path: Path) -> None:
    stays = Server({"/a.png": [redirect("/b.png")], "/b.png": [reply()]})
    assert fetched(stays, tmp_path / "copy") is None
    for elsewhere in ("https://elsewhere.example/", "https://127.0.0.1/", "http://localhost/", "https://localhost:1/"):
        server = Server({"/a.png": [redirect(elsewhere)]})
        assert kind(fetched(server, tmp_path / "copy")) == "fetch_refused"
        assert server.connections == 1


def test_redirects_in_a_circle_end(tmp_path: Path) -> None:
    assert kind(fetched(Server({"/a.png": [redirect("/a.png")]}), tmp_path / "copy")) == "fetch_failed"


@pytest.mark.parametrize(
    "answer",
    [reply(b"", "404 Not Found"), reply(b"x" * 2000), reply(b"x", Content_Encoding="gzip"), b"nonsense\r\n\r\n"],
    ids=["missing", "too long", "compressed", "no HTTP"],
)
def test_an_answer_that_cannot_be_used_fails_the_row(tmp_path: Path, answer: bytes) -> None:
    server = Server({"/a.png": [answer]})
    assert kind(fetched(server, tmp_path / "copy", most_bytes=1000)) == "fetch_failed"


def test_a_passing_failure_is_tried_again_three_times_in_all(tmp_path: Path) -> None:
    busy = reply(b"", "503 Service Unavailable")
    passing = Server({"/a.png": [busy, reply(PNG)[:5000], reply()]})
    assert fetched(passing, tmp_path / "copy") is None
    assert (tmp_path / "copy").read_bytes() == PNG
    lasting = Server({"/a.png": [busy]})
    error = fetched(lasting, tmp_path / "copy")
    assert kind(error) == "fetch_failed"
    assert "HTTP 503" in str(error)
    assert lasting.connections == 3


def test_a_server_that_drips_is_given_up(tmp_path: Path) -> None:
    class Dripping(Server):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(reply(PNG)[:1000])
            await asyncio.sleep(30)

    error = fetched(Dripping({}), tmp_path / "copy", timeout=0.05)
    assert kind(error) == "fetch_failed"
    assert "not complete within" in str(error)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff0e::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
        ("2002:7f00:1::", False),
        ("::127.0.0.1", False),
        ("::ffff:0:127.0.0.1", False),
        ("64:ff9b:1::7f00:1", False),
        ("fec0::1", False),
    ],
)
def test_only_addresses_of_the_open_internet_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public
