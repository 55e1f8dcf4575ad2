"""From references in a request to files: found, looked at, of the right type, within the limits. Nothing is read whole.

What a row names is hostile. Nothing here waits: only regular files are opened, and those without blocking.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from mmap import mmap
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from batchrun.errors import RowError
from batchrun.inputs.media_files import LocalFile, look
from batchrun.inputs.media_pages import PageCounter, page_ranges
from batchrun.inputs.media_paths import MOST_FILES, Place, find
from batchrun.inputs.media_types import ACCEPTED, ADVICE, TEXT, essence, is_text, media_type, part_for
from batchrun.spec.blocks import MediaRef
from batchrun.spec.pages import Range, page_blocks

MAX_PDF_BYTES = 50_000_000
MAX_FILE_BYTES = 2_000_000_000
"""What the Files API takes of one file."""
_LARGE = 1_000_000
MAX_REQUEST_BYTES = 100_000_000
"""Most bytes of media in one request, as sent: base64 is a third larger than the file."""


@dataclass(frozen=True, slots=True)
class FileBlock:
    """A content block that stands for a file, or for some of its pages.

    `mime_type` is TEXT for a file that is sent as text. `fields` are the block's further fields; `pages` are the pages
    that it is about, None for all; `of` is how many there are, None if that is not known.
    """

    type: str
    file: LocalFile
    mime_type: str
    fields: dict[str, Any] = field(default_factory=dict)
    pages: Range | None = None
    of: int | None = None

    @property
    def is_text(self) -> bool:
        return self.mime_type == TEXT


@dataclass(frozen=True, slots=True)
class Library:
    """Where references lead: paths are relative to `base` and stay inside `root`; `counter` counts pages."""

    base: Path
    root: Path
    counter: PageCounter = field(default_factory=PageCounter)

    def close(self) -> None:
        self.counter.close()


def opened(body: Any, library: Library, fetched: Mapping[str, str]) -> Any:
    """`body` with file blocks in the place of its references. `fetched` has the real path for each address.

    Raises RowError with the kind `media_forbidden`, `media_missing`, `media_unreadable`, `media_empty`, `media_type`,
    `media_too_large`, `media_too_many` or `bad_pages`.
    """

    made = 0

    def found(ref: MediaRef) -> Iterator[FileBlock]:
        nonlocal made
        for place in _places(ref, library, fetched):
            for block in _blocks(ref, place, library.counter):
                made += 1
                if made > MOST_FILES:
                    raise RowError(
                        "media_too_many", f"more than {MOST_FILES:,} files or ranges of pages in one request"
                    )
                yield block

    result = replaced(body, found)
    _check_sizes(file_blocks(result))
    return result


def _places(ref: MediaRef, library: Library, fetched: Mapping[str, str]) -> list[Place]:
    if ref.fetched:
        return [Place(ref.path, os.path.realpath(fetched[ref.path]))]
    return find(ref.path, library.base, library.root)


def references(body: Any) -> Iterator[MediaRef]:
    """The references in a rendered body."""
    return (found for found, _ in _walk(body) if isinstance(found, MediaRef))


def file_blocks(body: Any) -> list[FileBlock]:
    """The file blocks in an opened body, in its order."""
    return [found for found, _ in _walk(body) if isinstance(found, FileBlock)]


def positions(body: Any) -> list[tuple[FileBlock, int]]:
    """The file blocks, each with its place among the content blocks beside it, 0 for the first."""
    return [(found, place) for found, place in _walk(body) if isinstance(found, FileBlock)]


def _walk(value: Any, place: int = 0) -> Iterator[tuple[Any, int]]:
    yield value, place
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _walk(inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _walk(inner, number)


def replaced(value: Any, make: Callable[[Any], Iterable[Any]]) -> Any:
    """`value` with what `make` gives in the place of every reference and file block in its lists."""
    if isinstance(value, Mapping):
        return {name: replaced(inner, make) for name, inner in value.items()}
    if not isinstance(value, list):
        return value
    made: list[Any] = []
    for item in value:
        made.extend(make(item) if isinstance(item, MediaRef | FileBlock) else [replaced(item, make)])
    return made


def _blocks(ref: MediaRef, place: Place, counter: PageCounter) -> Iterator[FileBlock]:
    file, head = look(place)
    name = urlsplit(ref.path).path if ref.fetched else place.shown
    given = ref.mime_type and essence(ref.mime_type)
    mime = given or media_type(head, os.path.splitext(name)[1].lower(), ref.type)
    _check_type(ref.type, place.shown, mime)
    if mime is None or is_text(mime):
        mime = TEXT
    if mime != "application/pdf":
        if ref.pages.strip():
            raise RowError("bad_pages", f"{place.shown!r} is no PDF; `pages` is for PDF files")
        yield FileBlock(ref.type, file, mime, ref.passed_on)
        return
    if file.size > MAX_PDF_BYTES:
        raise _too_large(place.shown, f"a PDF may have {MAX_PDF_BYTES // 1_000_000} MB")
    yield from _of_pages(ref, file, counter.count(file))


def _of_pages(ref: MediaRef, file: LocalFile, pages: int | None) -> Iterator[FileBlock]:
    ranges = [] if "processing" in ref.passed_on else page_ranges(ref.pages, pages, file.shown)
    if not ranges:
        yield FileBlock(ref.type, file, "application/pdf", ref.passed_on, None, pages)
    for part in ranges:
        (fields,) = page_blocks(ref.passed_on, [part])
        yield FileBlock(ref.type, file, "application/pdf", fields, part, pages)


def _check_type(part: str, shown: str, mime: str | None) -> None:
    if mime is None:
        raise RowError("media_type", f"{shown!r}: content of an unknown type; convert it or give `mime_type`")
    right = part_for(mime)
    if right is None:
        known = ", ".join(sorted(ACCEPTED[part]))
        raise RowError("media_type", f"{shown!r} is {mime}, which the API does not take; {ADVICE[part]} ({known})")
    if right != part:
        raise RowError("media_type", f"{shown!r} is {mime}; use a part of `type: {right}` for it")


def _check_sizes(blocks: list[FileBlock]) -> None:
    room = MAX_REQUEST_BYTES
    for block in blocks:
        if block.file.size > MAX_FILE_BYTES:
            raise _too_large(block.file.shown, f"a file may have {MAX_FILE_BYTES // 1_000_000_000} GB")
        room -= block.file.size if block.is_text else 0
        if room < 0:
            raise _too_large(block.file.shown, f"the text of a request may have {MAX_REQUEST_BYTES // 1_000_000} MB")


def to_upload(blocks: list[FileBlock], inline_limit: int) -> set[tuple[LocalFile, str]]:
    """The files, with their types, that are not sent inside the request: the largest ones, until the rest fits.

    A file in several blocks (of some pages each) would be sent as many times.
    """
    text = sum(block.file.size for block in blocks if block.is_text)
    uses = Counter((block.file, block.mime_type) for block in blocks if not block.is_text)
    left = sum(file.size * times for (file, _), times in uses.items())
    limit = min(inline_limit, (MAX_REQUEST_BYTES - text) // 4 * 3)
    uploaded = set()
    for file, mime in sorted(uses, key=lambda use: use[0].size, reverse=True):
        if left <= limit:
            break
        left -= file.size * uses[file, mime]
        uploaded.add((file, mime))
    return uploaded


def text_of(file: LocalFile) -> str:
    """The text of a file. Raises RowError."""
    try:
        return file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        said = f"{file.shown!r}: neither a known format nor UTF-8 text (byte {error.start}); save text as UTF-8"
        raise RowError("media_type", said) from None


def base64_of(file: LocalFile) -> tuple[bytes | mmap, str]:
    """The content as base64, and its hex SHA-256. Raises RowError.

    Large ones are in memory of their own, which goes back to the system with the last reference: from the allocator's
    heaps, which threads do not share, much of it would not.
    """
    if file.size < _LARGE:
        content = file.read()
        return b64encode(content), hashlib.sha256(content).hexdigest()
    hashed, encoded = hashlib.sha256(), mmap(-1, -(-file.size // 3) * 4)
    for piece in file.pieces():
        hashed.update(piece)
        encoded.write(b64encode(piece))
    return encoded, hashed.hexdigest()


def _too_large(shown: str, rule: str) -> RowError:
    return RowError("media_too_large", f"{shown!r} is too large: {rule}; split or shrink it")
