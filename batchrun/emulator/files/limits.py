"""What the Files API allows and how long it keeps things."""

from __future__ import annotations

from dataclasses import dataclass

_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class FileLimits:
    """`per_file` and `per_project` in bytes, `kept` and `processing` in seconds; only video needs processing.

    Source: the public page on the Files API (2 GB a file, 20 GB a project, 48 hours).
    """

    per_file: int = 2 * _GIB
    per_project: int = 20 * _GIB
    kept: float = 48 * 3600.0
    processing: float = 2.0


FILE_LIMITS = FileLimits()
