"""Uploaded files in a request: a block's `uri` is looked up, checked, and gets the path of its bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from batchrun.emulator.envelopes import invalid, refuse
from batchrun.emulator.files.blocks import FileBlock
from batchrun.emulator.files.routes import no_such_file
from batchrun.emulator.files.shelf import File
from batchrun.emulator.files.views import state_of
from batchrun.emulator.service import Service

_FILE_URI = re.compile(r"(?P<origin>https?://(?P<host>[^/:?#]+)(?::\d+)?/v1(?:beta)?)/files/(?P<id>[^/?#]+)")
_HOSTS = frozenset({"generativelanguage.googleapis.com", "localhost", "127.0.0.1", "[::1]"})


def attach_files(service: Service, steps: Iterable[dict[str, Any]], now: float) -> None:
    """Put a `FileBlock` in the place of every block that names an uploaded file, or raise `Refusal`."""
    for step in steps:
        for name in ("content", "result"):
            blocks = step.get(name)
            if isinstance(blocks, list):
                _attach(service, blocks, now)


def _attach(service: Service, blocks: list[Any], now: float) -> None:
    for index, block in enumerate(blocks):
        uri = block.get("uri") if isinstance(block, dict) else None
        if uri is not None and (file := _named(service, uri, now)) is not None:
            _check_usable(service, file, block, now)
            blocks[index] = FileBlock(block, service.files.path(file), file.sha256)


def _named(service: Service, uri: str, now: float) -> File | None:
    """The file that an address means; None for an address that is none of the Files API's."""
    match = _FILE_URI.fullmatch(uri)
    if match is None:
        return None
    if match["host"] not in _HOSTS and not service.files.knows(match["origin"]):
        return None
    file = service.files.find(match["id"])
    if file is None or file.created + service.settings.files.kept <= now:
        raise no_such_file(match["id"])
    return file


def _check_usable(service: Service, file: File, block: Mapping[str, Any], now: float) -> None:
    state = state_of(file, service.settings.files, now)
    if state != "ACTIVE":
        raise refuse("failed_precondition", f"The File {file.id} is not in an ACTIVE state and usage is not allowed.")
    mime = str(block.get("mime_type") or file.mime_type).partition(";")[0].strip().lower()
    if mime != file.mime_type.partition(";")[0].strip().lower():
        raise invalid(f"The MIME type {mime!r} does not match that of File {file.id}: {file.mime_type!r}.")
