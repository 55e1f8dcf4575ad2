"""Local files into request bodies. A path comes from a row, so it is hostile until it is proved to lie inside the root.

Nothing here waits: only regular files are opened, and those without blocking. A file that changes while it is read is
an error, and so is one the API would refuse.
"""

from __future__ import annotations

import os
import stat
from base64 import b64encode
from pathlib import Path
from typing import Any

from batchrun.errors import RowError
from batchrun.inputs.media_types import ACCEPTED, HEAD, is_text, media_type, part_for
from batchrun.spec.blocks import MediaRef
from batchrun.spec.requests import Rendered

MAX_PDF_BYTES = 50_000_000
MAX_REQUEST_BYTES = 100_000_000
"""Most bytes of media in one request, as sent: base64 is a third larger than the file."""

_FORBIDDEN = "media_forbidden"


def attach(rendered: Rendered, base: Path, root: Path) -> dict[str, Any]:
    """The body with the content of its local files in place of their paths.

    Paths are relative to `base` and must stay inside `root`; symbolic links are followed and judged by where they
    lead. Raises RowError with the kind `media_forbidden`, `media_missing`, `media_unreadable`, `media_empty`,
    `media_too_large`, `media_changed` or `media_type`.
    """
    if not rendered.media:
        return rendered.body
    blocks: list[Any] = []
    left = MAX_REQUEST_BYTES
    for block in rendered.body["input"]:
        made = _block(block, base, root, left) if isinstance(block, MediaRef) else block
        left -= len(made.get("data") or made["text"]) if isinstance(block, MediaRef) else 0
        blocks.append(made)
    return {**rendered.body, "input": blocks}


def _block(ref: MediaRef, base: Path, root: Path, left: int) -> dict[str, Any]:
    content = _content(_inside(ref.path, base, root), ref.path, left)
    mime = ref.mime_type or media_type(content[:HEAD], os.path.splitext(ref.path)[1].lower())
    _check_type(ref, mime)
    if mime is None or is_text(mime):
        return {"type": "text", "text": _text(content, ref.path)}
    if mime == "application/pdf" and len(content) > MAX_PDF_BYTES:
        raise _too_large(ref.path, f"a PDF may have {MAX_PDF_BYTES // 1_000_000} MB")
    data = b64encode(content).decode("ascii")
    if len(data) > left:
        raise _too_large(ref.path, f"the media of one request may have {MAX_REQUEST_BYTES // 1_000_000} MB as base64")
    return {"type": ref.type, "data": data, "mime_type": mime, **ref.passed_on}


def _inside(path: str, base: Path, root: Path) -> str:
    """The real path, proved to lie inside the root."""
    if not path or "\0" in path:
        raise RowError("media_missing" if not path else _FORBIDDEN, f"{path!r} is no path")
    if os.path.isabs(path):
        raise RowError(_FORBIDDEN, f"{path!r} is absolute; paths are relative to the job file")
    try:
        real, top = os.path.realpath(base / path), os.path.realpath(root)
    except (OSError, ValueError) as error:
        raise RowError("media_missing", f"{path!r} is no usable path: {error}") from None
    if real != top and not real.startswith(top.rstrip(os.sep) + os.sep):
        raise RowError(_FORBIDDEN, f"{path!r} leads out of the media directory (request.media_root)")
    return real


def _content(real: str, path: str, left: int) -> bytes:
    try:
        _require_regular(os.lstat(real).st_mode, path)
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        raise RowError("media_missing", f"{path!r} does not exist") from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    with open(descriptor, "rb", buffering=0) as file:
        return _read(file.fileno(), path, left)


def _read(descriptor: int, path: str, left: int) -> bytes:
    before = os.fstat(descriptor)
    _require_regular(before.st_mode, path)
    if before.st_size == 0:
        raise RowError("media_empty", f"{path!r} has no content")
    if before.st_size > left:
        raise _too_large(path, f"the media of one request may have {MAX_REQUEST_BYTES // 1_000_000} MB as base64")
    try:
        content = _all_of(descriptor, before.st_size)
    except OSError as error:
        raise _unreadable(path, error) from None
    after = os.fstat(descriptor)
    if len(content) != before.st_size or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise RowError("media_changed", f"{path!r} changed while it was read; run again when it is complete")
    return content


def _all_of(descriptor: int, size: int) -> bytes:
    """At most one byte more than `size`, so that growth shows."""
    pieces = bytearray()
    while len(pieces) <= size and (piece := os.read(descriptor, size + 1 - len(pieces))):
        pieces += piece
    return bytes(pieces)


def _require_regular(mode: int, path: str) -> None:
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "no regular file"
        raise RowError("media_unreadable", f"{path!r} is {kind}")


def _check_type(ref: MediaRef, mime: str | None) -> None:
    if mime is None:
        raise RowError("media_type", f"{ref.path!r}: content of an unknown type; convert it or give `mime_type`")
    right = part_for(mime)
    if right is None:
        known = ", ".join(sorted(ACCEPTED[ref.type]))
        raise RowError("media_type", f"{ref.path!r} is {mime}, which the API does not take; it takes {known}")
    if right != ref.type:
        raise RowError("media_type", f"{ref.path!r} is {mime}; use a part of `type: {right}` for it")


def _text(content: bytes, path: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RowError("media_type", f"{path!r}: neither a known format nor UTF-8 text (byte {error.start})") from None


def _too_large(path: str, rule: str) -> RowError:
    return RowError("media_too_large", f"{path!r} is too large: {rule}; split or shrink it")


def _unreadable(path: str, error: Exception) -> RowError:
    return RowError("media_unreadable", f"{path!r} cannot be read: {getattr(error, 'strerror', None) or error}")
