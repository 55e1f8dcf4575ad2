"""The content of files in a request's body: what is sent, what it is known by, how it looks before it is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from mmap import mmap
from typing import Any

from batchrun.engine.estimates import Reading, reading_of, reading_of_medium
from batchrun.engine.request import Draft, Request, first_request, request_of, sendable
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
from batchrun.spec.blocks import MediaRef
from batchrun.spec.load import Job
from batchrun.store.files import Upload

#: A file, and what it is said to be.
Use = tuple[LocalFile, str]

#: Ends the address of a file that has none yet.
UPLOADED = "uploaded when it is sent>"


@dataclass(frozen=True, slots=True)
class _Content:
    """What of a file goes into its blocks, and `mark`: the same with the file's hash in the place of its bytes."""

    sent: dict[str, Any]
    mark: dict[str, Any]


def built(draft: Draft, body: dict[str, Any], brought: Mapping[Use, Upload]) -> Request:
    """The request of an opened body, with the content of its files but for those that were uploaded. Raises RowError.

    Its `sha` is made of the files' hashes, so it does not depend on how they were sent.
    """
    contents: dict[Use, _Content] = {}
    for block in file_blocks(body):
        if (use := (block.file, block.mime_type)) not in contents:
            contents[use] = _content(block, brought.get(use))
    request = _request(draft, body, contents, Body(_pieces(_filled(body, contents))))
    return replace(request, files=tuple(brought.values()), media=tuple(_page_map(body, contents, brought)))


def previewed(job: Job, data: dict[str, Any], library: Library, *, hashed: bool = False) -> Request:
    """A row's first request as it would be sent, as `without_files` has it. Raises RowError."""
    return without_files(job, first_request(job, data), library, hashed=hashed)


def without_files(job: Job, draft: Draft | Request, library: Library, *, hashed: bool = False) -> Request:
    """A request as it would be sent, without its files' content. Nothing is fetched or uploaded. Raises RowError.

    With media its `sha` is empty unless the files are `hashed`, and where it depends on what would be fetched.
    """
    if isinstance(draft, Request):
        return draft
    local = replaced(draft.body, lambda ref: [_unfetched(ref) if ref.fetched else ref])
    body = opened(local, library, {})
    blocks = file_blocks(body)
    uploaded = to_upload(blocks, job.spec.request.inline_limit)
    contents = {(b.file, b.mime_type): _outlined(b, uploaded, hashed=hashed) for b in blocks}
    request = _request(draft, body, contents, sendable(_filled(body, contents)))
    named = hashed and not any(ref.fetched for ref in references(draft.body))
    return request if named else replace(request, sha="")


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


def _request(draft: Draft, body: dict[str, Any], contents: Mapping[Use, _Content], core: bytes | Body) -> Request:
    outline = _filled(body, contents, marks=True)
    read = sum(map(_reading, file_blocks(body)), reading_of(outline))
    return request_of(draft, core, sha256(sendable(outline)).hexdigest(), read)


def _pieces(body: dict[str, Any]) -> Iterator[bytes | mmap]:
    try:
        yield from spliced(body)
    except ValueError as error:
        raise RowError("not_sendable", f"the request cannot be written as JSON: {error}") from error


def _reading(block: FileBlock) -> Reading:
    """What a file is read as; text is counted as text."""
    if block.is_text:
        return Reading(0, 0)
    pages = block.pages[1] - block.pages[0] + 1 if block.pages else block.of
    told = {"type": block.type, "mime_type": block.mime_type, **block.fields}
    return reading_of_medium(told, block.file.size, pages)


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
