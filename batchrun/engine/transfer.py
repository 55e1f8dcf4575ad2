"""One upload on its way to the service: announced, sent in chunks, gone on with where it broke off.

What has been sent is in the registry before the next chunk goes out. The file is hashed as it is read, so a file that
is not the announced one any more is never completed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass, replace

from batchrun.engine.retry import Meaning, classify
from batchrun.errors import BatchrunError, CredentialError, QuotaError, RefusedError, RowError
from batchrun.inputs.media_files import LocalFile, changed, pread
from batchrun.interactions.evidence import Lost, NotSent, Refused
from batchrun.interactions.files import FilesApi, NewFile, Received, RemoteFile, Session, Trouble
from batchrun.store.files import FileRegistry, Upload

CHUNK = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """A local file to be uploaded: its content and what it is said to be."""

    file: LocalFile
    sha256: str
    mime_type: str


class Transfer:
    """One upload on its way: `progress` counts the bytes that have arrived."""

    def __init__(self, upload: Upload, source: Source, api: FilesApi, registry: FileRegistry) -> None:
        self.upload, self._source, self._api, self._registry = upload, source, api, registry
        self._in_doubt = upload.session is not None
        self.progress = 0

    async def go_on(self) -> RemoteFile | Trouble:
        """From where it stands as far as it goes."""
        if self.upload.session is None:
            session = await self._begin()
            if not isinstance(session, Session):
                return session
        if self._in_doubt and (found := await self._asked()) is not None:
            return found
        self._in_doubt = True
        return await self._chunks()

    async def _begin(self) -> Session | Trouble:
        file = self._source.file
        shown = os.path.basename(file.shown)[:200].encode(errors="replace").decode()
        answer = await self._api.start(NewFile(self.upload.name, shown, self._source.mime_type, file.size))
        if isinstance(answer, Session):
            self.upload = self._registry.keep(replace(self.upload, session=answer.url, received=0))
            self._in_doubt = False
        elif isinstance(answer, Refused) and answer.status == 409:  # an earlier start whose answer was lost
            self._rename()
            return Lost("the file's name is taken")
        return answer

    async def _asked(self) -> RemoteFile | Trouble | None:
        """How far it is by the service's own account; None if there is more to send."""
        assert self.upload.session is not None
        answer = await self._api.query(self.upload.session)
        if isinstance(answer, Refused) and answer.status in (400, 403, 404, 410):
            self._rename()
            return Lost("the service does not know the upload any more")
        if not isinstance(answer, Received):
            return answer
        if answer.final:
            return await self._finished()
        self._arrived(min(answer.offset, self.upload.size))
        return None

    def _arrived(self, offset: int) -> None:
        self.upload = self._registry.received(self.upload, offset)
        self.progress = max(self.progress, offset)

    async def _finished(self) -> RemoteFile | Trouble:
        """It was complete, only the answer was lost: the file has the name that we gave it."""
        answer = await self._api.get(self.upload.name)
        if isinstance(answer, Refused) and answer.status in (403, 404):
            self._rename()
            return Lost("the service took the file under another name")
        return answer

    def _rename(self) -> None:
        """Begin anew, as another file."""
        fresh = replace(self.upload, name=file_name(self.upload.name), session=None, received=0)
        self.upload = self._registry.keep(fresh)

    async def _chunks(self) -> RemoteFile | Trouble:
        source, size = self._source, self.upload.size
        with source.file.open() as descriptor:
            hashed = await asyncio.to_thread(_hash_of, descriptor, self.upload.received, source.file)
            while True:
                assert self.upload.session is not None
                offset = self.upload.received
                chunk = await asyncio.to_thread(pread, descriptor, offset, CHUNK, source.file.shown)
                hashed.update(chunk)
                last = offset + len(chunk) >= size
                source.file.require_unchanged(descriptor)
                if last and hashed.hexdigest() != source.sha256:
                    raise changed(source.file.shown)
                answer = await self._api.put(self.upload.session, offset, chunk, last=last)
                if not isinstance(answer, Received):
                    return answer
                if answer.offset != offset + len(chunk):
                    return Lost(f"{answer.offset} bytes arrived of {offset + len(chunk)}")
                self._arrived(answer.offset)

    async def give_up(self) -> None:
        """Leave nothing behind at the service, as far as that is possible."""
        if self.upload.session is not None:
            await self._api.cancel(self.upload.session)
        self._registry.forget(self.upload.content)


def _hash_of(descriptor: int, size: int, file: LocalFile) -> hashlib._Hash:
    """The SHA-256 of the first `size` bytes, to go on with."""
    hashed = hashlib.sha256()
    for offset in range(0, size, CHUNK):
        hashed.update(pread(descriptor, offset, min(CHUNK, size - offset), file.shown))
    return hashed


def file_name(*marks: str) -> str:
    """A name of our own for a file at the service, made from what tells this upload from every other."""
    return "files/batchrun-" + hashlib.sha256("\0".join(marks).encode()).hexdigest()[:24]


def settled(answer: object) -> bool:
    """Whether the same call again would not help."""
    if isinstance(answer, NotSent | Lost):
        return False
    return not (isinstance(answer, Refused) and _may_pass(answer))


def _may_pass(refused: Refused) -> bool:
    return (classify(refused) is Meaning.AGAIN and not _full(refused)) or refused.status >= 500


def _full(refused: Refused) -> bool:
    return refused.status == 429 and "storage" in refused.error.message.lower()


def reason_of(trouble: Trouble) -> str:
    """What went wrong, in a few words."""
    if not isinstance(trouble, Refused):
        return trouble.reason
    return f"HTTP {trouble.status} {trouble.error.code}: {trouble.error.message.rstrip('.')}"


def failure(trouble: Trouble, shown: str) -> BatchrunError:
    """Whom a failed upload stops: the row, or the run if it is nothing about this file."""
    if not isinstance(trouble, Refused):
        return RefusedError(f"Cannot upload {shown!r}: {trouble.reason}. Rows stay pending; run again later.")
    said = reason_of(trouble)
    match classify(trouble):
        case Meaning.CREDENTIALS:
            return CredentialError(f"The service does not accept the API key for uploads: {said}. Rows stay pending.")
        case _ if _full(trouble):
            return no_room(shown, said)
        case Meaning.QUOTA:
            return QuotaError(f"The quota is used up: {said}. Rows stay pending; run the same command later.")
        case Meaning.AGAIN:
            return RefusedError(f"The service refuses uploads: {said}. Rows stay pending; run again later.")
    return RowError("upload_failed", f"{shown!r} cannot be uploaded: {said}")


def no_room(shown: str, said: str) -> RowError:
    return RowError(
        "files_full",
        f"{shown!r}: no room left among the project's 20 GB of uploaded files ({said}); delete some with "
        "`batchrun files clean --all` when no run needs them, or wait: they are gone after 48 hours",
    )
