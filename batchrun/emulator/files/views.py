"""A file as its JSON shows it."""

from __future__ import annotations

import re
from typing import Any

from batchrun.emulator.files.limits import FileLimits
from batchrun.emulator.files.shelf import File
from batchrun.emulator.views import timestamp

_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


def is_file_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def state_of(file: File, limits: FileLimits, now: float) -> str:
    """PROCESSING for a while if it is a video, then ACTIVE; FAILED if there is nothing in it."""
    if file.declared == 0:
        return "FAILED"
    wait = limits.processing if file.mime_type.startswith("video/") else 0.0
    return "PROCESSING" if now < (file.finished or now) + wait else "ACTIVE"


def file_view(file: File, limits: FileLimits, now: float) -> dict[str, Any]:
    """The File resource in proto-JSON: camelCase, 64 bits in a string."""
    state = state_of(file, limits, now)
    view: dict[str, Any] = {
        "name": file.name,
        **({"displayName": file.display_name} if file.display_name else {}),
        "mimeType": file.mime_type,
        "sizeBytes": str(file.declared),
        "createTime": timestamp(file.created),
        "updateTime": timestamp(file.finished or file.created),
        "expirationTime": timestamp(file.created + limits.kept),
        "sha256Hash": file.sha256,
        "uri": file.uri,
        "state": state,
        "source": "UPLOADED",
    }
    if state == "FAILED":
        view["error"] = {"code": 3, "message": "The file is empty."}
    elif state == "ACTIVE" and file.mime_type.startswith("video/"):
        view["videoMetadata"] = {"videoDuration": "10s"}
    return view
