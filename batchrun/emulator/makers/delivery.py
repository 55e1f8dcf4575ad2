"""Media that are wanted by address: they are put beside the uploaded files, and a block names where."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from typing import Any

from batchrun.emulator.draws import digest
from batchrun.emulator.files.shelf import File
from batchrun.emulator.media.made import Made
from batchrun.emulator.outcome import Outcome
from batchrun.emulator.service import Service


def delivered(service: Service, outcome: Outcome, origin: str, now: float) -> Outcome:
    """The outcome with addresses in the place of the media that were asked for so. Clients find files at `origin`."""
    if not any(_by_address(block) for step in outcome.steps for block in step.get("content") or ()):
        return outcome
    steps = [_with_addresses(service, step, origin, now) for step in outcome.steps]
    return replace(outcome, steps=steps)


def _with_addresses(service: Service, step: dict[str, Any], origin: str, now: float) -> dict[str, Any]:
    blocks = step.get("content")
    if blocks is None:
        return step
    kept = [_kept(service, block, origin, now) if _by_address(block) else block for block in blocks]
    return {**step, "content": kept}


def _by_address(block: dict[str, Any]) -> bool:
    return isinstance(block, Made) and block.by_address


def _kept(service: Service, block: dict[str, Any], origin: str, now: float) -> dict[str, Any]:
    content = b64decode(block["data"])
    name = digest("made", block["mime_type"], content).hex()[:20]
    file = service.files.find(name)
    if file is not None and file.created + service.settings.files.kept <= now:
        service.files.delete(file)
        file = None
    if file is None:
        _write(service, File(name, name, "", block["mime_type"], origin, len(content), now, None, ""), content, now)
    rest = {key: value for key, value in block.items() if key != "data"}
    return {**rest, "uri": f"{origin}/files/{name}:download?alt=media"}


def _write(service: Service, file: File, content: bytes, now: float) -> None:
    service.files.begin(file)
    with service.files.append(file) as opened:
        opened.write(content)
    service.files.finish(file, now)
