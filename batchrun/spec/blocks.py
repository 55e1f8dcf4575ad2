"""From the parts of a prompt to the content blocks of a request. Pure: local files stay references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from batchrun.errors import RowError
from batchrun.spec.pages import page_blocks, parse_pages
from batchrun.spec.parts import MediaPart, TextPart
from batchrun.spec.rendering.templates import Template

_SCHEMES = ("https", "gs")


@dataclass(frozen=True, slots=True)
class MediaRef:
    """Media that batchrun has to read: a local file, or an address whose host the job lets it fetch from.

    `path` is rendered, relative to the job file and not yet trusted (an address where `fetched`); `pages` is as the
    user wrote it; `passed_on` are further fields of the block.
    """

    type: Literal["document", "image", "audio", "video"]
    path: str
    mime_type: str | None = None
    pages: str = ""
    passed_on: dict[str, Any] = field(default_factory=dict)
    fetched: bool = False


Block = dict[str, Any] | MediaRef


class PartTemplate:
    """One compiled part. Raises SpecError for a template that does not compile."""

    def __init__(self, part: TextPart | MediaPart, fetch: frozenset[str]) -> None:
        self._part, self._fetch = part, fetch
        said = part.text if isinstance(part, TextPart) else part.path or part.uri
        self._template = Template(said or "")
        pages = None if isinstance(part, TextPart) else part.pages
        self._pages = None if pages is None else Template(pages)
        self.templates = [self._template, *([self._pages] if self._pages else [])]

    @property
    def reads_files(self) -> bool:
        """Whether its blocks may need batchrun to read a file."""
        return isinstance(self._part, MediaPart) and (self._part.path is not None or bool(self._fetch))

    @property
    def reads_row(self) -> bool:
        """Whether it has the name `row`, by which it may read any column."""
        return any(template.reads_row for template in self.templates)

    @property
    def columns(self) -> frozenset[str]:
        """Columns that the part reads."""
        used = frozenset[str]().union(*(template.columns for template in self.templates))
        return used if self._part.each is None else (used - {"item"}) | {self._part.each}

    def render(self, row: Mapping[str, Any]) -> Iterator[Block]:
        """The part's blocks: one, or one for each item of its list. Raises RowError."""
        if self._part.each is None:
            yield from self._blocks(row)
            return
        for item in _items(row, self._part.each):
            yield from self._blocks({**row, "item": item})

    def _blocks(self, row: Mapping[str, Any]) -> Iterator[Block]:
        said, part = self._template.render(row), self._part
        if isinstance(part, TextPart):
            yield {"type": "text", "text": said}
            return
        pages = self._pages.render(row) if self._pages else ""
        if part.path is not None:
            yield MediaRef(part.type, said, part.mime_type, pages, part.passed_on)
        elif _host(said) in self._fetch:
            yield MediaRef(part.type, said, part.mime_type, pages, part.passed_on, fetched=True)
        else:
            block = {"type": part.type, "uri": said, "mime_type": part.mime_type, **part.passed_on}
            named = {name: value for name, value in block.items() if value is not None}
            yield from page_blocks(named, parse_pages(pages))


def _items(row: Mapping[str, Any], column: str) -> list[Any]:
    items = row.get(column)
    if not isinstance(items, list):
        found = "is missing" if items is None else f"holds {type(items).__name__}"
        raise RowError("template_error", f"`each: {column}` needs a list, and the column {found}")
    return items


def _host(uri: str) -> str | None:
    """The address's host; None where it has none. Raises RowError for what is no address that can be sent."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in _SCHEMES or not host:
        raise RowError("bad_uri", f"{uri[:200]!r} is no address: write https://… or gs://…")
    return host if parts.scheme == "https" else None
