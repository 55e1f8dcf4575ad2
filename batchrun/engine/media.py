"""From a draft to a request: its files fetched, uploaded where they are large, and read into the body where not.

`ready` does what may take long and needs little memory; `finished` reads files into memory and is quick. What blocks
runs in threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from mmap import mmap
from pathlib import Path
from typing import Any

from batchrun.engine.request import Draft, Prepared, estimate_tokens, first_request, prepared, sendable
from batchrun.engine.transfer import Source
from batchrun.engine.uploads import Uploads
from batchrun.errors import RowError
from batchrun.inputs.media import (
    FileBlock,
    Library,
    base64_of,
    file_blocks,
    opened,
    positions,
    references,
    replaced,
    text_of,
    to_upload,
)
from batchrun.inputs.media_files import LocalFile, sha256_of_file
from batchrun.interactions.bodies import Base64, Body, spliced
from batchrun.interactions.evidence import PostResult, Refused
from batchrun.interactions.fetching import Fetcher
from batchrun.spec.blocks import MediaRef
from batchrun.spec.load import Job
from batchrun.store.files import Upload

#: A file, and what it is said to be.
Use = tuple[LocalFile, str]

#: Ends the address of a file that has none yet.
UPLOADED = "uploaded when it is sent>"
_TOKENS_PER_PAGE = 258
#: Bytes that make about one token of sound or video, as they are commonly packed.
_BYTES_PER_TOKEN = 1_000


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
    """The media of one run. `scratch` is a directory for fetched files. Close it before the client."""

    def __init__(self, library: Library, inline_limit: int, uploads: Uploads, fetcher: Fetcher, scratch: Path) -> None:
        self._library, self._inline_limit = library, inline_limit
        self._uploads, self._fetcher, self._scratch = uploads, fetcher, scratch
        self._fetches = 0
        _remove(scratch.glob("fetched-*"))  # of a run that was killed

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

    async def finished(self, ready: Ready) -> Prepared:
        """The request. Raises RowError or RunError."""
        try:
            brought = {use: await self._uploads.bring(source) for use, source in ready.sources.items()}
            return await asyncio.to_thread(built, ready.draft, ready.body, brought)
        finally:
            _remove(ready.scratch)

    def disowned(self, request: Prepared, result: PostResult) -> bool:
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
                copies[url] = str(self._scratch / f"fetched-{self._fetches}")
                await self._fetcher.fetch(url, Path(copies[url]))
        except BaseException:
            _remove(map(Path, copies.values()))
            raise
        return copies

    async def aclose(self) -> None:
        """Leave uploads where they are, and keep no fetched file."""
        await self._uploads.aclose()
        await self._fetcher.aclose()
        self._library.close()
        _remove(self._scratch.glob("fetched-*"))


@dataclass(frozen=True, slots=True)
class _Content:
    """What of a file goes into its blocks, and `mark`: the same with the file's hash in the place of its bytes."""

    sent: dict[str, Any]
    mark: dict[str, Any]


def built(draft: Draft, body: dict[str, Any], brought: Mapping[Use, Upload]) -> Prepared:
    """The request of an opened body, with the content of its files but for those that were uploaded. Raises RowError.

    Its `sha` is made of the files' hashes, so it does not depend on how they were sent.
    """
    contents: dict[Use, _Content] = {}
    for block in file_blocks(body):
        if (use := (block.file, block.mime_type)) not in contents:
            contents[use] = _content(block, brought.get(use))
    request = _request(draft, body, contents, Body(_pieces(_filled(body, contents))))
    return replace(request, files=tuple(brought.values()), media=tuple(_page_map(body, contents, brought)))


def library_of(job: Job) -> Library:
    """Where the job's references lead. Close it."""
    return Library(job.base, job.base / job.spec.request.media_root)


def previewed(job: Job, data: dict[str, Any], library: Library, *, hashed: bool = False) -> Prepared:
    """A row's first request as it would be sent, as `without_files` has it. Raises RowError."""
    return without_files(job, first_request(job, data), library, hashed=hashed)


def without_files(job: Job, draft: Draft | Prepared, library: Library, *, hashed: bool = False) -> Prepared:
    """A request as it would be sent, without its files' content. Nothing is fetched or uploaded. Raises RowError.

    With media its `sha` is empty unless the files are `hashed`, and where it depends on what would be fetched.
    """
    if isinstance(draft, Prepared):
        return draft
    local = replaced(draft.body, lambda ref: [_unfetched(ref) if ref.fetched else ref])
    body = opened(local, library, {})
    blocks = file_blocks(body)
    uploaded = to_upload(blocks, job.spec.request.inline_limit)
    contents = {(b.file, b.mime_type): _outlined(b, uploaded, hashed=hashed) for b in blocks}
    request = _request(draft, body, contents, sendable(_filled(body, contents)))
    named = hashed and not any(ref.fetched for ref in references(draft.body))
    return request if named else replace(request, sha="")


def _source(use: Use) -> Source:
    file, mime = use
    return Source(file, sha256_of_file(file), mime)


def _content(block: FileBlock, upload: Upload | None) -> _Content:
    if block.is_text:
        return _of_text(block)
    if upload is not None:
        return _of_type(block, upload.content.sha256, uri=upload.uri)
    content, mark = base64_of(block.file)
    return _of_type(block, mark, data=Base64(content))


def _outlined(block: FileBlock, uploaded: set[Use], *, hashed: bool) -> _Content:
    if block.is_text:
        return _of_text(block)
    mark = sha256_of_file(block.file) if hashed else ""
    if (block.file, block.mime_type) in uploaded:
        return _of_type(block, mark, uri=f"<{block.file.shown}, {UPLOADED}")
    return _of_type(block, mark, data=f"<{-(-block.file.size // 3) * 4:,} characters of base64>")


def _of_text(block: FileBlock) -> _Content:
    said = {"text": text_of(block.file)}
    return _Content(said, said)


def _of_type(block: FileBlock, sha: str, **held: Any) -> _Content:
    return _Content({**held, "mime_type": block.mime_type}, {"sha256": sha, "mime_type": block.mime_type})


def _unfetched(ref: MediaRef) -> dict[str, Any]:
    return {"type": ref.type, "uri": f"<{ref.path}, fetched when it is sent>", **ref.passed_on}


def _filled(body: dict[str, Any], contents: Mapping[Use, _Content], *, marks: bool = False) -> Any:
    """The body with content blocks in the place of its file blocks."""

    def block_of(block: FileBlock) -> list[dict[str, Any]]:
        found = contents[block.file, block.mime_type]
        held = found.mark if marks else found.sent
        return [{"type": "text", **held} if block.is_text else {"type": block.type, **held, **block.fields}]

    return replaced(body, block_of)


def _request(draft: Draft, body: dict[str, Any], contents: Mapping[Use, _Content], core: bytes | Body) -> Prepared:
    outline = _filled(body, contents, marks=True)
    tokens = estimate_tokens(outline) + sum(map(_tokens, file_blocks(body)))
    return prepared(draft, core, sha256(sendable(outline)).hexdigest(), tokens)


def _pieces(body: dict[str, Any]) -> Iterator[bytes | mmap]:
    try:
        yield from spliced(body)
    except ValueError as error:
        raise RowError("not_sendable", f"the request cannot be written as JSON: {error}") from error


def _tokens(block: FileBlock) -> int:
    """About what a file costs; text is counted as text."""
    if block.is_text:
        return 0
    if block.type in ("audio", "video"):
        return max(_TOKENS_PER_PAGE, block.file.size // _BYTES_PER_TOKEN)
    first, last = block.pages or (1, block.of or 1)
    return (last - first + 1) * _TOKENS_PER_PAGE


def _page_map(
    body: dict[str, Any], contents: Mapping[Use, _Content], brought: Mapping[Use, Upload]
) -> Iterator[dict[str, Any]]:
    """JSON-able: which file, and which of its pages (1-based, both ends included), went into which block (from 0)."""
    for block, place in positions(body):
        use = block.file, block.mime_type
        yield {
            "block": place,
            "file": block.file.shown,
            "type": "text" if block.is_text else block.type,
            "mime_type": None if block.is_text else block.mime_type,
            "bytes": block.file.size,
            "sha256": contents[use].mark.get("sha256"),
            "sent": brought[use].name if use in brought else "inline",
            "pages": list(block.pages) if block.pages else None,
            "of": block.of,
        }


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)
