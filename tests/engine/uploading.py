"""Uploads to an emulator that outlives them, over a line that breaks where a test says so, on a virtual clock."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import httpx

from batchrun.emulator import Emulator, EmulatorSettings
from batchrun.engine.steering import Steering
from batchrun.engine.transfer import Source
from batchrun.engine.uploads import Uploads
from batchrun.inputs.media_files import look, sha256_of_file
from batchrun.inputs.media_paths import Place
from batchrun.interactions.client import Client
from batchrun.interactions.in_process import InProcess
from batchrun.spec.model import InputSpec, JobSpec, PollSpec
from tests.virtual_time import VirtualTime

T = TypeVar("T")
MIB = 1024 * 1024
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x02\0\0\0"
#: What happens to a call: it never arrives or its answer is lost (with or without the process), it is answered like
#: this, or its answer is changed.
Fault = str | httpx.Response | Callable[[httpx.Response], httpx.Response]


@dataclass(frozen=True)
class Seen:
    """A call that was made. `kind` is its upload command, or its method."""

    kind: str
    url: str
    headers: httpx.Headers
    size: int


class Line(httpx.AsyncBaseTransport):
    """A transport whose `faults` say what happens to the n-th call of a kind: ("query", 1)."""

    def __init__(self, inner: httpx.AsyncBaseTransport, faults: Mapping[tuple[str, int], Fault]) -> None:
        self._inner, self._faults = inner, faults
        self._counts: Counter[str] = Counter()
        self.seen: list[Seen] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        kind = request.headers.get("x-goog-upload-command") or request.method
        size = int(request.headers.get("content-length", 0))
        self.seen.append(Seen(kind, str(request.url), request.headers, size))
        self._counts[kind] += 1
        fault = self._faults.get((kind, self._counts[kind]))
        if fault == "lost":
            raise httpx.ReadError("broken")
        if fault == "dies before":
            raise asyncio.CancelledError
        if isinstance(fault, httpx.Response):
            return fault
        answer = await self._inner.handle_async_request(request)
        if fault == "answer lost":
            raise httpx.ReadError("broken")
        if fault == "dies after":
            raise asyncio.CancelledError
        return fault(answer) if callable(fault) else answer

    async def aclose(self) -> None:
        await self._inner.aclose()

    def kinds(self) -> list[str]:
        return [seen.kind for seen in self.seen]


class World:
    """A service, a user's state directory and a clock. Each `life` is a process."""

    def __init__(self, where: Path, **emulator: Any) -> None:
        self.where, self.clock = where, VirtualTime()
        self.state = where / "state"
        self.settings = EmulatorSettings(state=where / "emulator.db", clock=self.clock.wall)
        self.settings = replace(self.settings, **emulator)
        self.line: Line | None = None

    def source(self, size: int = 1000, name: str = "a.png", fill: bytes = b"x", mime: str = "image/png") -> Source:
        """A file of this size."""
        path = self.where / name
        if not path.exists():
            path.write_bytes((PNG + fill * size)[: size - 8] + b"IEND\xaeB`\x82")
        file = look(Place(name, str(path)))[0]
        return Source(file, sha256_of_file(file), mime)

    def life(
        self,
        act: Callable[[Uploads], Awaitable[T]],
        faults: Mapping[tuple[str, int], Fault] | None = None,
        key: str = "a-secret-key",
        steering: Steering | None = None,
        **poll: float,
    ) -> T:
        spec = JobSpec(name="job", input=InputSpec(path="x"), poll=PollSpec(**poll))

        async def live() -> T:
            emulator = Emulator(self.settings)
            self.line = Line(InProcess(emulator.app, emulator.close), faults or {})
            client = Client(key, base_url="http://localhost", transport=self.line)
            uploads = Uploads(spec, lambda: self.state, client, self.clock.wall, Random(1), steering=steering)
            try:
                return await act(uploads)
            finally:
                await uploads.aclose()
                await client.aclose()

        return self.clock.run(live())

    @property
    def calls(self) -> list[str]:
        """The kinds of calls of the last life."""
        assert self.line is not None
        return self.line.kinds()

    def files(self) -> list[dict[str, Any]]:
        """The complete files at the service; `content` is the hash of what is there."""
        with sqlite3.connect(self.where / "emulator.db") as connection:
            connection.row_factory = sqlite3.Row
            rows = connection.execute("SELECT * FROM files WHERE finished IS NOT NULL ORDER BY created").fetchall()
        directory = self.where / "emulator.db-files"
        hashes = [hashlib.sha256((directory / row["id"]).read_bytes()).hexdigest() for row in rows]
        return [{**dict(row), "content": content} for row, content in zip(rows, hashes, strict=True)]
