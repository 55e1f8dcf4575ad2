"""What `files list` and `files clean` do: the uploads on record, and their deletion at the service."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchrun.emulator import EmulatorSettings
from batchrun.errors import SpecError
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Refused
from batchrun.interactions.files import FilesApi
from batchrun.runs.directory import RunDir
from batchrun.runs.service import emulated_client
from batchrun.store.files import FILE_NAME, FileRegistry, Upload
from batchrun.store.reader import Reader


@dataclass
class Cleaned:
    """What became of the uploads: `kept` says of each that could not be deleted why, `foreign` are of other keys.

    `elsewhere` counts those at other services, by address.
    """

    deleted: int = 0
    forgotten: int = 0
    left: int = 0
    foreign: int = 0
    elsewhere: Counter[str] = field(default_factory=Counter)
    kept: list[str] = field(default_factory=list)


@contextmanager
def recorded(directory: Path) -> Iterator[FileRegistry | None]:
    """The list of uploads in a directory, None if there is none."""
    if not (directory / FILE_NAME).is_file():
        yield None
        return
    with closing(FileRegistry(directory)) as registry:
        yield registry


def documents(directory: Path, now: float) -> list[dict[str, Any]]:
    """Every upload on record, oldest first, as JSON values. `now` in Unix seconds."""
    with recorded(directory) as registry:
        return [document(upload, now) for upload in registry.all()] if registry else []


def document(upload: Upload, now: float) -> dict[str, Any]:
    """One upload; `age` and `expires_in` in seconds."""
    return {
        "name": upload.name,
        "file": upload.source,
        "mime_type": upload.content.mime_type,
        "bytes": upload.size,
        "received": upload.received,
        "age": now - upload.begun_at,
        "expires_in": max(0.0, upload.expires_at - now),
        "state": upload.state(now),
        "service": upload.content.target,
        "key": upload.content.owner,
        "sha256": upload.content.sha256,
        "uri": upload.uri,
    }


def require_rehearsal(directory: RunDir) -> None:
    """Raises SpecError unless a run was rehearsed in this directory: only such a run has a list of its own."""
    if not directory.emulator_state.is_file():
        raise SpecError(
            f"{directory.path}: no rehearsal was run here. Uploads of other runs are in one list: leave out --run-dir."
        )


def rehearsal_client(directory: RunDir) -> Client:
    """The emulator of a rehearsal, as its last run left it. Raises SpecError if there was none."""
    require_rehearsal(directory)
    return emulated_client(EmulatorSettings(state=directory.emulator_state), "v1beta")


def clean(directory: Path, client: Client, wall: Callable[[], float], *, everything: bool) -> Cleaned:
    """Delete uploads of ours at the service that `client` talks to, all or those that are of no use any more.

    Raises StoreError.
    """
    return asyncio.run(_clean(directory, client, wall, everything))


async def _clean(directory: Path, client: Client, wall: Callable[[], float], everything: bool) -> Cleaned:
    done = Cleaned()
    try:
        with recorded(directory) as registry:
            if registry is not None:
                await _clean_all(registry, client, wall, everything, done)
    finally:
        await client.aclose()
    return done


async def _clean_all(
    registry: FileRegistry, client: Client, wall: Callable[[], float], everything: bool, done: Cleaned
) -> None:
    owner, api = client.fingerprint(registry.salt), FilesApi(client, wall)
    for upload in registry.all():
        if upload.content.target != client.base_url:
            done.elsewhere[upload.content.target] += 1
        elif upload.state(wall()) == "expired":
            registry.forget(upload.content)
            done.forgotten += 1
        elif upload.content.owner != owner:
            done.foreign += 1
        elif everything:
            await _delete(registry, api, upload, done)
        else:
            done.left += 1


async def clean_run(reader: Reader, directory: Path, client: Client, wall: Callable[[], float]) -> Cleaned:
    """Delete at the service the uploads that a run sent.

    Other runs that need one of them upload it again. Raises StoreError.
    """
    done = Cleaned()
    with recorded(directory) as registry:
        if registry is not None:
            owner, api = client.fingerprint(registry.salt), FilesApi(client, wall)
            for upload in _sent_by(reader, registry):
                if upload.content.target != client.base_url:
                    continue
                if upload.content.owner == owner:
                    await _delete(registry, api, upload, done)
                elif upload.state(wall()) != "expired":
                    done.kept.append(f"{upload.name} ({upload.source}): set the API key that uploaded it")
    return done


def count_sent_by(reader: Reader, directory: Path) -> int:
    """How many of the uploads on record a run sent. Raises StoreError."""
    with recorded(directory) as registry:
        return 0 if registry is None else len(_sent_by(reader, registry))


def _sent_by(reader: Reader, registry: FileRegistry) -> list[Upload]:
    sent = {entry.get("sent") for attempt in reader.attempts() for entry in attempt.files} - {"inline"}
    return [upload for upload in registry.all() if upload.name in sent] if sent else []


async def _delete(registry: FileRegistry, api: FilesApi, upload: Upload, done: Cleaned) -> None:
    """One that another run is uploading at this moment is left to it."""
    if not registry.claim(upload.content):
        done.kept.append(f"{upload.name} ({upload.source}): it is being uploaded")
        return
    try:
        if upload.session is not None:
            await api.cancel(upload.session)
        trouble = await api.delete(upload.name)
    finally:
        registry.release(upload.content)
    if trouble is None or (isinstance(trouble, Refused) and trouble.status in (403, 404)):
        registry.forget(upload.content)
        done.deleted += trouble is None
        done.forgotten += trouble is not None
        return
    said = f"HTTP {trouble.status} {trouble.error.message}" if isinstance(trouble, Refused) else trouble.reason
    done.kept.append(f"{upload.name} ({upload.source}): {said}")
