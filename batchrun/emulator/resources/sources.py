"""What a new environment is given to begin with: inline sources become files, others are named and not fetched."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from batchrun.emulator.envelopes import invalid
from batchrun.emulator.rules import checks

_KINDS = ("gcs", "inline", "repository", "skill_registry")
_PER_FILE, _ALL_FILES = 1024 * 1024, 2 * 1024 * 1024
_check = checks.list_of(
    checks.record(
        {
            "type": checks.one_of(*_KINDS),
            "source": checks.text,
            "target": checks.text,
            "content": checks.text,
            "encoding": checks.text,
        }
    )
)


def inline_files(asked: object) -> dict[str, str]:
    """The files that an `environment` brings along, by path. Raises `Refusal` where the service would."""
    sources = asked.get("sources") if isinstance(asked, dict) else None
    if sources is None:
        return {}
    _check(sources, "environment.sources")
    inline = [source for source in sources if source and source.get("type") == "inline"]
    files = {_target(source, number): _text(source) for number, source in enumerate(inline)}
    sizes = [len(text.encode()) for text in files.values()]
    if max(sizes, default=0) > _PER_FILE or sum(sizes) > _ALL_FILES:
        raise invalid("Inline sources are at most 1 MB a file and 2 MB in all.")
    return files


def _target(source: Mapping[str, Any], number: int) -> str:
    return (source.get("target") or f"source-{number}").strip("/") or f"source-{number}"


def _text(source: Mapping[str, Any]) -> str:
    content = source.get("content") or ""
    if source.get("encoding") != "base64":
        return str(content)
    try:
        return b64decode(content, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        raise invalid("Invalid inline source: base64 decoding failed.") from None
