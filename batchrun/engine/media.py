"""From a draft to a request: its files fetched, uploaded where they are large, and read into the body where not.

`ready` does what may take long and needs little memory; `finished` reads files into memory and is quick. What blocks
runs in threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchrun.engine.file_bodies import Use, built
from batchrun.engine.request import Draft, Request
from batchrun.engine.transfer import Source
from batchrun.engine.uploads import Uploads
from batchrun.inputs.media import Library, file_blocks, opened, references, to_upload
from batchrun.inputs.media_files import sha256_of_file
from batchrun.interactions.evidence import PostResult, Refused
from batchrun.interactions.fetching import Fetcher
from batchrun.spec.load import Job


@dataclass(frozen=True, slots=True)
class Ready:
    """A draft whose files are at hand: `body` holds file blocks, `sources` those that are referred to by address.

    `scratch` are fetched copies, which are of no use once the request is built.
    """

    draft: Draft
    body: dict[str, Any]
    sources: dict[Use, Source]
    scratch: list[Path] = field(default_factory=list)


class Media:
    """The media of a run's `stage`. `scratch` is a directory for fetched files. Close it, then the uploads."""

    def __init__(
        self,
        library: Library,
        inline_limit: int,
        uploads: Uploads,
        fetcher: Fetcher,
        scratch: Path,
        stage: str = "",
    ) -> None:
        self._library, self._inline_limit, self._stage = library, inline_limit, stage
        self._uploads, self._fetcher, self._scratch = uploads, fetcher, scratch
        self._fetches = 0
        self._sweep()  # of a run that was killed

    async def ready(self, draft: Draft) -> Ready:
        """Fetch, look at, hash and upload what the draft refers to. Raises RowError or RunError."""
        fetched = await self._fetched(draft)
        copies = [Path(copy) for copy in fetched.values()]
        try:
            body = await asyncio.to_thread(opened, draft.body, self._library, fetched)
            uses = to_upload(file_blocks(body), self._inline_limit)
            sources = {use: await asyncio.to_thread(_source, use) for use in uses}
            await asyncio.gather(*map(self._uploads.bring, sources.values()))
        except BaseException:
            _remove(copies)
            raise
        uploaded = {file.place.real for file, _ in sources}
        _remove(copy for copy in copies if str(copy) in uploaded)  # a row may wait long for its slot
        return Ready(draft, body, sources, copies)

    async def finished(self, ready: Ready) -> Request:
        """The request. Raises RowError or RunError."""
        try:
            brought = {use: await self._uploads.bring(source) for use, source in ready.sources.items()}
            return await asyncio.to_thread(built, ready.draft, ready.body, brought)
        finally:
            _remove(ready.scratch)

    def disowned(self, request: Request, result: PostResult) -> bool:
        """Whether a POST was refused because the service no longer knows a file; then it is uploaded anew."""
        if not isinstance(result, Refused) or result.status not in (400, 403, 404):
            return False
        gone = [file for file in request.files if file.name.removeprefix("files/") in result.error.message]
        self._uploads.forget(gone)
        return bool(gone)

    async def _fetched(self, draft: Draft) -> dict[str, str]:
        """The copies of what the draft wants fetched, by address."""
        copies: dict[str, str] = {}
        try:
            for url in dict.fromkeys(ref.path for ref in references(draft.body) if ref.fetched):
                self._fetches += 1
                copies[url] = str(self._scratch / f"fetched-{self._stage}-{self._fetches}")
                await self._fetcher.fetch(url, Path(copies[url]))
        except BaseException:
            _remove(map(Path, copies.values()))
            raise
        return copies

    async def aclose(self) -> None:
        """Keep no fetched file."""
        await self._fetcher.aclose()
        self._library.close()
        self._sweep()

    def _sweep(self) -> None:
        with suppress(OSError):  # a directory that cannot be read hides nothing that is needed
            _remove(self._scratch.glob("fetched-*"))


def library_of(job: Job) -> Library:
    """Where the job's references lead. Close it."""
    return Library(job.base, job.base / job.spec.request.media_root)


class Libraries:
    """The libraries of a job's stages, each opened when it is asked for. Close them."""

    def __init__(self) -> None:
        self._libraries: dict[str, Library] = {}

    def of(self, job: Job) -> Library:
        if job.stage not in self._libraries:
            self._libraries[job.stage] = library_of(job)
        return self._libraries[job.stage]

    def close(self) -> None:
        for library in self._libraries.values():
            library.close()


def _source(use: Use) -> Source:
    file, mime = use
    return Source(file, sha256_of_file(file), mime)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)
