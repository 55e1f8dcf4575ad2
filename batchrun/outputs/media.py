"""Media in answers: files beside the checkpoint, so that the checkpoint stays small and people can open them.

In the answer's JSON, what is in a file is told in the place of its `data`:
`{"file": name, "sha256": hex, "bytes": size}`, all three about the file. `header` is the number of bytes at its top
that are ours (bare sound samples get a WAV header), `fetched` is true if the answer named an address instead of data.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from batchrun.errors import StoreError
from batchrun.interactions.models import MEDIA, Interaction, as_json, storable
from batchrun.outputs.file_types import extension_of, sample_header
from batchrun.outputs.media_files import Content, filling, read_back, write

Block = dict[str, Any]
Step = dict[str, Any]

#: The lists of blocks in a step of the service's: its output, its thoughts, and what its tools returned.
_LISTS = ("content", "summary", "result")
#: Steps that are ours: what they hold is on this machine already.
_OURS = ("user_input", "function_result")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,119}")
_SHA = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Medium:
    """A file that came with an answer; `bytes` (their number) and `sha256` (hex) are the file's.

    `step` is the number of the step that holds it, `found_in` that step's kind: `model_output`, `thought`, …
    """

    name: str
    type: str
    mime_type: str | None
    bytes: int
    sha256: str
    step: int
    found_in: str


def detach(raw: bytes, directory: Path, stem: str) -> bytes:
    """Write each medium of an answer to `directory`; returns the answer with a note of the file in the data's place.

    The files are named by `stem` (any text) and their content, and are durable when this returns. An answer without
    media is returned as the same object. Data that is not exact base64 stays where it is. What the service itself
    says in the form of such a note is put aside. Raises StoreError where the disk refuses.
    """
    interaction = Interaction.parse(raw) if may_hold_media(raw) else None
    if interaction is None:
        return raw
    forged = [block for _, _, block in _blocks(enumerate(interaction.steps)) if isinstance(block.get("data"), dict)]
    for block in forged:
        block["data_received"] = block.pop("data")
    written = complete(interaction, directory, stem, {})
    return written or (_encoded(interaction.data) if forged else None) or raw


def complete(answer: Interaction, directory: Path, stem: str, fetched: Mapping[str, Path]) -> bytes | None:
    """As `detach`, for an answer that is kept already; None if nothing of it is left to write.

    `fetched` has the files that addresses in the answer led to; they are copied.
    """
    found = _found(answer, fetched)
    if not found:
        return None
    with filling(directory):
        for block, content in found:
            block["data"] = _write(block, content, directory, stem)
    return _encoded(answer.data)


def tells_of_media(answer: Interaction) -> bool:
    """Whether there is any medium in the answer, in a file by now or not."""
    return next(_blocks(answer.own_steps), None) is not None


def may_hold_media(raw: bytes) -> bool:
    """False for an answer that holds no medium for sure, as most answers do."""
    return b'"data"' in raw


def attached(block: Block, directory: Path) -> Block:
    """The block as it was received, its data read from `directory`.

    Raises StoreError if the file is gone or is not what it was.
    """
    medium = _medium(block)
    if medium is None:
        return block
    if block["data"].get("fetched"):
        return {name: value for name, value in block.items() if name != "data"}
    content = read_back(directory / medium.name, medium.sha256)
    header = block["data"].get("header", 0)
    return {**block, "data": b64encode(memoryview(content)[header:]).decode()}


def attached_steps(steps: Sequence[Step], directory: Path) -> list[Step]:
    """An answer's steps as they were received, to send them again. Raises StoreError, as `attached` does."""
    return [
        {**step, **{name: [attached(b, directory) if _is_medium(b) else b for b in held] for name, held in _held(step)}}
        for step in steps
    ]


def media_of(interaction: Interaction) -> list[Medium]:
    """The media of an answer that are in files, in the order of its steps."""
    found = (_medium(block, number, kind) for number, kind, block in _blocks(interaction.own_steps))
    return [medium for medium in found if medium is not None]


def addresses(answer: Interaction) -> list[str]:
    """The addresses of the media that an answer names instead of bringing them."""
    uris = (block.get("uri") for _, _, block in _blocks(answer.own_steps) if block.get("data") is None)
    return list(dict.fromkeys(uri for uri in uris if isinstance(uri, str)))


def _found(interaction: Interaction, fetched: Mapping[str, Path]) -> list[tuple[Block, Content]]:
    """The blocks with something to write."""
    blocks = (block for _, _, block in _blocks(enumerate(interaction.steps)))
    return [(block, content) for block in blocks if (content := _content(block, fetched)) is not None]


def _content(block: Block, fetched: Mapping[str, Path]) -> Content | None:
    data, uri = block.get("data"), block.get("uri")
    if isinstance(data, str):
        return Content.of_base64(data)
    if data is None and isinstance(uri, str) and uri in fetched:
        try:
            return Content.of_file(fetched[uri])
        except OSError as error:
            raise StoreError(f"cannot read {str(fetched[uri])!r}, which was just fetched: {error.strerror}.") from error
    return None


def _write(block: Block, content: Content, directory: Path, stem: str) -> dict[str, Any]:
    """Write a block's file; returns the note of it."""
    header = sample_header(block, content.size, content.head)
    written = write(header, content, directory, stem, extension_of(block.get("mime_type")))
    note: dict[str, Any] = {"file": written.name, "sha256": written.sha256, "bytes": written.size}
    if header:
        note["header"] = len(header)
    if block.get("data") is None:
        note["fetched"] = True
    return note


def _blocks(steps: Iterable[tuple[int, Step]]) -> Iterator[tuple[int, str, Block]]:
    """Every block of media in what the service wrote, after the number and the kind of its step."""
    for number, step in steps:
        for _, held in _held(step):
            yield from ((number, step["type"], block) for block in held if _is_medium(block))


def _held(step: Step) -> Iterator[tuple[str, list[Any]]]:
    """The lists of blocks in a step, by the name of their field."""
    if isinstance(step.get("type"), str) and step["type"] not in _OURS:
        yield from ((name, step[name]) for name in _LISTS if isinstance(step.get(name), list))


def _is_medium(block: object) -> bool:
    return isinstance(block, dict) and block.get("type") in MEDIA


def _medium(block: Block, step: int = 0, found_in: str = "") -> Medium | None:
    """The file that a block's note tells of, None where there is no note that can be ours."""
    note, mime = block.get("data"), block.get("mime_type")
    if not isinstance(note, dict):
        return None
    name, digest, size = note.get("file"), note.get("sha256"), note.get("bytes")
    if not (isinstance(name, str) and _NAME.fullmatch(name) and isinstance(digest, str) and _SHA.fullmatch(digest)):
        return None
    if not (_is_size(size) and _is_size(note.get("header", 0))):
        return None
    shown = storable(mime) if isinstance(mime, str) else None
    return Medium(name, block["type"], shown, size, digest, step, storable(found_in))


def _is_size(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 2**63


def _encoded(value: object) -> bytes | None:
    """Compact JSON; None for what cannot be written."""
    try:
        return as_json(value)
    except (ValueError, RecursionError):
        return None
