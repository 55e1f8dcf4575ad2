"""`citations.parquet`: one record per annotation of an answer's text, with offsets in characters.

The API counts bytes of UTF-8, the end excluded (Api-Revision 2026-05-20); Parquet readers count characters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from batchrun.interactions.models import storable
from batchrun.outputs.fitting import json_text
from batchrun.outputs.history import History
from batchrun.outputs.table import COUNT, TEXT, Column
from batchrun.rows import key_within
from batchrun.store.records import AttemptRecord

Span = tuple[int | None, int | None]
_NOWHERE: Span = (None, None)


@dataclass(frozen=True, slots=True)
class Citation:
    """One annotation. `span` is in the block's text, `in_text` in the row's; (None, None) where it is in neither."""

    attempt: AttemptRecord
    step: int
    block: int
    annotation: dict[str, Any]
    text: str | None
    span: Span
    in_text: Span

    @property
    def size(self) -> int:
        """Bytes this citation may hold, roughly."""
        return 2_000 + 4 * len(self.text or "")


def citations_of(history: History) -> Iterator[Citation]:
    """Every annotation in the model's output, in order. Nothing that a server may send raises."""
    starts = _starts(history)
    for attempt, interaction in history.answered:
        if b'"annotations"' in (attempt.raw or b""):
            for number, step in interaction.own_steps:
                content = step.get("content") if step.get("type") == "model_output" else None
                for index, block in enumerate(content if isinstance(content, list) else ()):
                    yield from _of_block(attempt, number, index, block, starts)


def columns() -> list[Column[Citation]]:
    """The columns of `citations.parquet` in order."""
    return [
        Column("key", TEXT, lambda c: storable(key_within(c.attempt.stage, c.attempt.key))),
        Column("stage", TEXT, lambda c: c.attempt.stage),
        Column("exchange", COUNT, lambda c: c.attempt.exchange),
        Column("turn", COUNT, lambda c: c.attempt.turn),
        Column("kind", TEXT, _text("type")),
        Column("text", TEXT, lambda c: None if c.text is None else storable(c.text)),
        Column("start", COUNT, lambda c: c.span[0]),
        Column("end", COUNT, lambda c: c.span[1]),
        Column("start_in_text", COUNT, lambda c: c.in_text[0]),
        Column("end_in_text", COUNT, lambda c: c.in_text[1]),
        Column("url", TEXT, _text("url", "document_uri")),
        Column("title", TEXT, _text("title", "name")),
        Column("file_name", TEXT, _text("file_name")),
        Column("page_number", COUNT, _page),
        Column("place_id", TEXT, _text("place_id")),
        Column("interaction_id", TEXT, lambda c: c.attempt.interaction_id),
        Column("step", COUNT, lambda c: c.step),
        Column("block", COUNT, lambda c: c.block),
        Column("annotation", TEXT, _raw),
    ]


def character_offsets(text: str, offsets: Iterable[int]) -> dict[int, int]:
    """For each of these byte offsets in the UTF-8 of `text`: the characters before it.

    An offset outside of the text or inside a character has no entry.
    """
    encoded = text.encode("utf-8", "surrogatepass")
    found, at, count = {}, 0, 0
    for offset in sorted(set(offsets)):
        if 0 <= offset <= len(encoded) and encoded[offset : offset + 1] not in _WITHIN:
            count += len(encoded[at:offset].decode("utf-8", "surrogatepass"))
            found[offset], at = count, offset
    return found


#: The bytes of UTF-8 that begin no character.
_WITHIN = frozenset(bytes([byte]) for byte in range(0x80, 0xC0))


def _of_block(attempt: AttemptRecord, step: int, index: int, block: Any, starts: dict[int, int]) -> Iterator[Citation]:
    notes = block.get("annotations") if isinstance(block, dict) and block.get("type") == "text" else None
    annotations = [note for note in notes if isinstance(note, dict)] if isinstance(notes, list) else []
    text = block["text"] if annotations and isinstance(block.get("text"), str) else ""
    characters = character_offsets(text, (at for note in annotations for at in _bytes(note) if at is not None))
    for note in annotations:
        start, end = _span(note, characters)
        cited = None if start is None or end is None else text[start:end]
        yield Citation(attempt, step, index, note, cited, (start, end), _moved((start, end), starts.get(id(block))))


def _bytes(note: dict[str, Any]) -> Span:
    """Where the service says that an annotation is; JSON writers may leave out a start of 0."""
    end = note.get("end_index")
    if type(end) is not int:
        return _NOWHERE
    start = note.get("start_index", 0)
    return (start, end) if type(start) is int and start <= end else _NOWHERE


def _span(note: dict[str, Any], characters: dict[int, int]) -> Span:
    start, end = _bytes(note)
    if start is None or end is None or start not in characters or end not in characters:
        return _NOWHERE
    return characters[start], characters[end]


def _moved(span: Span, by: int | None) -> Span:
    start, end = span
    return _NOWHERE if start is None or end is None or by is None else (start + by, end + by)


def _starts(history: History) -> dict[int, int]:
    """Where in the row's text each block of it begins, by the block's identity."""
    blocks = history.final.output_blocks if history.final else []
    if any(storable(block["text"]) != block["text"] for block in blocks):
        return {}  # what cannot be stored is written longer than it is
    lengths = accumulate((len(block["text"]) for block in blocks), initial=0)
    return {id(block): start for block, start in zip(blocks, lengths, strict=False)}


def _text(*names: str) -> Callable[[Citation], str | None]:
    """The first of these fields that is text."""

    def value(citation: Citation) -> str | None:
        found = (citation.annotation.get(name) for name in names)
        return next((storable(each) for each in found if isinstance(each, str)), None)

    return value


def _page(citation: Citation) -> int | None:
    page = citation.annotation.get("page_number")
    return page if type(page) is int and abs(page) < 2**63 else None


def _raw(citation: Citation) -> str | None:
    try:
        return json_text(citation.annotation)
    except RecursionError:
        return None
